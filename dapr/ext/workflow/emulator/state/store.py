"""Rows in SQLite: what the emulator remembers. Knows nothing of the rules of workflows."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.state.schema import migrate

__all__ = ['ActivityRow', 'InstanceRow', 'Store', 'TimerRow']


class InstanceRow(NamedTuple):
    """An instance, without its history. Moments are microseconds since the epoch.

    Attributes:
        pk: Names it in all tables; in the order of creation.
        app_id: Its app.
        instance_id: Its id within the app.
        status: A number of `OrchestrationStatus`.
        created_at: When its run was created.
        started_at: When its run's first turn was; None before that.
        updated_at: When it last changed.
        custom_status: As its code set it.
        start: Its executionStarted event.
        propagated: The history that its parent handed on.
        end: Its executionCompleted event.
    """

    pk: int
    app_id: str
    instance_id: str
    status: int
    created_at: int
    started_at: int | None
    updated_at: int
    custom_status: str | None
    start: bytes
    propagated: bytes | None
    end: bytes | None


class TimerRow(NamedTuple):
    """An event that goes to an instance's inbox when its time has come."""

    id: int
    instance: int
    due_at: int
    event: bytes


class ActivityRow(NamedTuple):
    """An activity without a result; `instance` is None when nobody waits for one."""

    id: int
    instance: int | None
    app_id: str
    owner_app_id: str
    request: bytes


_IN_MEMORY: Final = ':memory:'
_INSTANCE: Final = """
    SELECT pk, app_id, instance_id, status, created_at, started_at, updated_at, custom_status,
           starts.event, starts.propagated, ends.event
    FROM instances JOIN starts ON starts.instance = pk LEFT JOIN ends ON ends.instance = pk
"""
# `instances` is not among them: its key has another name.
_OF_INSTANCES: Final = ('starts', 'ends', 'history', 'inbox', 'timers', 'activities')
_WITH_IDS: Final = ('inbox', 'timers', 'activities')


class Store:
    """The emulator's database. It belongs to one `Store` at a time, and to one thread at a time.

    A commit is on its way to the disk when it returns: it survives the end of the process, however sudden, though not
    that of the machine.

    Args:
        path: The database's file, made when it is not there; None (default) keeps everything in memory.

    Raises:
        StoreError: The file is in use by another emulator, is of a newer one or no emulator's at all, or cannot be
            opened. Every method raises it when the database fails; then nothing is changed.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._name = 'The database in memory' if path is None else os.fspath(path)
        try:
            # autocommit: the transactions are ours. The emulator's thread is not the one that makes it.
            self._connection = sqlite3.connect(
                _IN_MEMORY if path is None else path, timeout=0, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StoreError(f'{self._name} cannot be opened: {error}') from error
        try:
            with self._failing():
                # A lock that is kept, and that ends with the process; no shared memory, so that no second one can read.
                self._connection.execute('PRAGMA locking_mode = EXCLUSIVE')
                self._connection.execute('PRAGMA journal_mode = WAL')
                self._connection.execute('PRAGMA synchronous = NORMAL')
                migrate(self._connection, self._name)
            self._next_id = 1 + max(self._one(f'SELECT max(id) FROM {table}') or 0 for table in _WITH_IDS)
            self._next_pk = 1 + (self._one('SELECT max(pk) FROM instances') or 0)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Gives the file free. A second call does nothing."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is written together, when the block ends without an error, or not at all."""
        execute = self._connection.execute
        with self._failing():
            execute('BEGIN IMMEDIATE')
            try:
                yield
                self._commit()
            except BaseException:
                if self._connection.in_transaction:  # SQLite ends it by itself after some errors
                    execute('ROLLBACK')
                raise

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """Runs one statement; gives the rows that it finds. For what has tables of its own beside these."""
        return self._rows(sql, parameters)

    def new_id(self) -> int:
        """An id for a row of the inbox, the timers or the activities, above all ids there are."""
        self._next_id += 1
        return self._next_id - 1

    def new_pk(self) -> int:
        """An id for an instance, above all ids there are."""
        self._next_pk += 1
        return self._next_pk - 1

    # Reading

    def instance(self, app_id: str, instance_id: str) -> InstanceRow | None:
        """The instance of that name, or None."""
        rows = self._rows(f'{_INSTANCE} WHERE app_id = ? AND instance_id = ?', (app_id, instance_id))
        return InstanceRow(*rows[0]) if rows else None

    def page(self, app_id: str, after: int, limit: int) -> list[tuple[int, str]]:
        """The numbers and ids of an app's instances above a number, in their order; limit -1 is all of them."""
        return self._rows(
            'SELECT pk, instance_id FROM instances WHERE app_id = ? AND pk > ? ORDER BY pk LIMIT ?',
            (app_id, after, limit),
        )

    def created_between(self, app_id: str, first: int, last: int) -> list[tuple[str, int]]:
        """The ids and statuses of an app's instances that were created between the moments, both included."""
        return self._rows(
            'SELECT instance_id, status FROM instances WHERE app_id = ? AND created_at BETWEEN ? AND ? ORDER BY pk',
            (app_id, first, last),
        )

    def of_status(self, status: int) -> list[tuple[str, str]]:
        """The names of all instances of that status."""
        return self._rows('SELECT app_id, instance_id FROM instances WHERE status = ?', (status,))

    def history(self, pk: int) -> list[bytes]:
        """The committed events of an instance."""
        rows = self._rows('SELECT event FROM history WHERE instance = ? ORDER BY position', (pk,))
        return [event for (event,) in rows]

    def inbox(self, pk: int) -> list[tuple[int, bytes]]:
        """The ids and events of an instance's inbox."""
        return self._rows('SELECT id, event FROM inbox WHERE instance = ? ORDER BY id', (pk,))

    def with_inbox(self) -> list[tuple[str, str]]:
        """The names of all instances that have something in their inbox, the longest waiting first."""
        return self._rows(
            'SELECT app_id, instance_id FROM inbox JOIN instances ON pk = instance GROUP BY instance ORDER BY min(id)'
        )

    def due(self, now: int) -> list[tuple[int, str, str, bytes]]:
        """The timers whose time has come, in the order of their times: id, app and instance id, event."""
        return self._rows(
            'SELECT id, app_id, instance_id, event FROM timers JOIN instances ON pk = instance WHERE due_at <= ? '
            'ORDER BY due_at, id',
            (now,),
        )

    def next_due(self) -> int | None:
        """When the next timer is due, or None."""
        moment: int | None = self._one('SELECT min(due_at) FROM timers')
        return moment

    def activities(self) -> list[ActivityRow]:
        """All activities, in their order."""
        rows = self._rows('SELECT id, instance, app_id, owner_app_id, request FROM activities ORDER BY id')
        return [ActivityRow(*row) for row in rows]

    def activity_ids(self, pk: int) -> list[int]:
        """The ids of an instance's activities."""
        return [id for (id,) in self._rows('SELECT id FROM activities WHERE instance = ?', (pk,))]

    # Writing, within a transaction

    def add_instance(self, row: InstanceRow) -> None:
        """Writes a new instance."""
        self._write('INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?)', row[:8])
        self._write('INSERT INTO starts VALUES (?, ?, ?)', (row.pk, row.start, row.propagated))

    def update_instance(
        self, pk: int, status: int, started_at: int | None, updated_at: int, custom_status: str | None
    ) -> None:
        """Writes what changes with each turn."""
        self._write(
            'UPDATE instances SET status = ?, started_at = ?, updated_at = ?, custom_status = ? WHERE pk = ?',
            (status, started_at, updated_at, custom_status, pk),
        )

    def add_end(self, pk: int, event: bytes) -> None:
        """Writes how an instance ended."""
        self._write('INSERT INTO ends VALUES (?, ?)', (pk, event))

    def restart(self, pk: int, created_at: int, start: bytes, propagated: bytes | None) -> None:
        """Begins a new run of an instance: nothing of the old one's is left, but for its inbox and its activities."""
        self._write('UPDATE instances SET created_at = ? WHERE pk = ?', (created_at, pk))
        self._write('UPDATE starts SET event = ?, propagated = ? WHERE instance = ?', (start, propagated, pk))
        self._write('DELETE FROM history WHERE instance = ?', (pk,))
        self._write('DELETE FROM timers WHERE instance = ?', (pk,))

    def remove(self, pk: int) -> None:
        """Deletes an instance and all that is its own."""
        self._write('DELETE FROM instances WHERE pk = ?', (pk,))
        for table in _OF_INSTANCES:
            self._write(f'DELETE FROM {table} WHERE instance = ?', (pk,))

    def add_history(self, pk: int, position: int, events: Iterable[bytes]) -> None:
        """Writes events after the `position` events that there are."""
        self._write_many(
            'INSERT INTO history VALUES (?, ?, ?)',
            [(pk, place, event) for place, event in enumerate(events, position)],
        )

    def add_inbox(self, rows: Sequence[tuple[int, int, bytes]]) -> None:
        """Writes events (id, instance, event) into inboxes."""
        self._write_many('INSERT INTO inbox VALUES (?, ?, ?)', rows)

    def remove_inbox(self, ids: Iterable[int]) -> None:
        """Deletes events from inboxes."""
        self._write_many('DELETE FROM inbox WHERE id = ?', [(id,) for id in ids])

    def clear_inbox(self, pk: int) -> None:
        """Deletes what an instance is yet to be given, now and later."""
        self._write('DELETE FROM inbox WHERE instance = ?', (pk,))
        self._write('DELETE FROM timers WHERE instance = ?', (pk,))

    def add_timers(self, rows: Sequence[TimerRow]) -> None:
        """Writes timers."""
        self._write_many('INSERT INTO timers VALUES (?, ?, ?, ?)', rows)

    def remove_timers(self, ids: Iterable[int]) -> None:
        """Deletes timers."""
        self._write_many('DELETE FROM timers WHERE id = ?', [(id,) for id in ids])

    def add_activities(self, rows: Sequence[ActivityRow]) -> None:
        """Writes activities."""
        self._write_many('INSERT INTO activities VALUES (?, ?, ?, ?, ?)', rows)

    def remove_activity(self, id: int) -> None:
        """Deletes an activity."""
        self._write('DELETE FROM activities WHERE id = ?', (id,))

    def orphan_activities(self, pk: int) -> None:
        """Writes that nobody waits for an instance's activities any more."""
        self._write('UPDATE activities SET instance = NULL WHERE instance = ?', (pk,))

    # The ways to SQLite

    def _commit(self) -> None:
        self._connection.execute('COMMIT')

    def _write(self, sql: str, parameters: Sequence[Any]) -> None:
        self._connection.execute(sql, parameters)

    def _write_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if len(rows) == 1:  # most often; executemany takes twice as long for it
            self._connection.execute(sql, rows[0])
        elif rows:
            self._connection.executemany(sql, rows)

    def _rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._failing():
            return self._connection.execute(sql, parameters).fetchall()

    def _one(self, sql: str) -> Any:
        return self._rows(sql)[0][0]

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = str(error)
            if 'locked' in text:
                text = 'it is in use by another process (one emulator at a time can have it)'
            raise StoreError(f'{self._name}: {text}') from error
