"""The tables of the emulator's database, and how older ones become these."""

from __future__ import annotations

import sqlite3
from typing import Final

from dapr.ext.workflow.emulator.errors import StoreError

__all__ = ['MIGRATIONS', 'migrate']

_APPLICATION_ID: Final = 0x44575345  # "DWSE": tells our files from those of others

# Moments are microseconds since the epoch; events, requests and histories are serialized messages.
_VERSION_1: Final = (
    # One row for an instance, small, since it is written with each turn. `pk` grows: pages are lists in its order.
    """CREATE TABLE instances (
        pk INTEGER PRIMARY KEY,
        app_id TEXT NOT NULL,
        instance_id TEXT NOT NULL,
        status INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        started_at INTEGER,
        updated_at INTEGER NOT NULL,
        custom_status TEXT,
        UNIQUE (app_id, instance_id)
    )""",
    # What the current run began with: executionStarted, and the history that its parent handed on.
    'CREATE TABLE starts (instance INTEGER PRIMARY KEY, event BLOB NOT NULL, propagated BLOB)',
    # executionCompleted.
    'CREATE TABLE ends (instance INTEGER PRIMARY KEY, event BLOB NOT NULL)',
    # What is committed of the current run.
    """CREATE TABLE history (
        instance INTEGER NOT NULL,
        position INTEGER NOT NULL,
        event BLOB NOT NULL,
        PRIMARY KEY (instance, position)
    ) WITHOUT ROWID""",
    # What an instance is yet to be given, in the order of the ids.
    'CREATE TABLE inbox (id INTEGER PRIMARY KEY, instance INTEGER NOT NULL, event BLOB NOT NULL)',
    'CREATE INDEX inbox_instance ON inbox (instance)',
    # What goes to an inbox later.
    """CREATE TABLE timers (
        id INTEGER PRIMARY KEY,
        instance INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        event BLOB NOT NULL
    )""",
    'CREATE INDEX timers_due ON timers (due_at, id)',
    'CREATE INDEX timers_instance ON timers (instance)',
    # Activities without a result. `instance` is null when the run that asked for it is over.
    """CREATE TABLE activities (
        id INTEGER PRIMARY KEY,
        instance INTEGER,
        app_id TEXT NOT NULL,
        owner_app_id TEXT NOT NULL,
        request BLOB NOT NULL
    )""",
    'CREATE INDEX activities_instance ON activities (instance)',
)

# The state stores of Dapr's API, for apps that keep more than workflows in a sidecar.
_VERSION_2: Final = (
    """CREATE TABLE state_items (
        app_id TEXT NOT NULL,
        store TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        etag TEXT NOT NULL,
        expires_at INTEGER,
        PRIMARY KEY (app_id, store, key)
    ) WITHOUT ROWID""",
    'CREATE INDEX state_items_expiry ON state_items (expires_at) WHERE expires_at IS NOT NULL',
)

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (_VERSION_1, _VERSION_2)
"""Step n makes a database of version n one of version n + 1. Steps are only ever added at the end."""


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Makes the database one of the newest version, in one transaction.

    Args:
        connection: In autocommit mode.
        name: What to call the database in errors.

    Raises:
        StoreError: It is of a newer version than this emulator knows, or not an emulator's at all.
        sqlite3.Error: It could not be read or written.
    """
    connection.execute('BEGIN IMMEDIATE')
    try:
        version: int = connection.execute('PRAGMA user_version').fetchone()[0]
        application: int = connection.execute('PRAGMA application_id').fetchone()[0]
        if application != _APPLICATION_ID:
            if version or connection.execute('SELECT 1 FROM sqlite_master').fetchone():
                raise StoreError(f"{name} is a database, but not a workflow emulator's: give another file.")
            connection.execute(f'PRAGMA application_id = {_APPLICATION_ID}')
        if version > len(MIGRATIONS):
            raise StoreError(
                f'{name} was written by a newer emulator (schema {version}; this one knows up to {len(MIGRATIONS)}): '
                'upgrade dapr-stateful-workflow, or give another file.'
            )
        for step in MIGRATIONS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f'PRAGMA user_version = {len(MIGRATIONS)}')
        connection.execute('COMMIT')
    except BaseException:
        if connection.in_transaction:
            connection.execute('ROLLBACK')
        raise
