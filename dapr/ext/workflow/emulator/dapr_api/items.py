"""State stores: keys with values, etags and expiry, in the emulator's database."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import grpc

from dapr.ext.workflow.emulator.errors import Refused

__all__ = ['Change', 'Item', 'Items', 'Place', 'Tables']

_MICROSECONDS: Final = 1_000_000


class Tables(Protocol):
    """The database, as these use it."""

    def transaction(self) -> AbstractContextManager[None]:
        """What is written inside is written together, or not at all."""

    def execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Any]:
        """Runs one statement; gives the rows that it finds."""


class Place(NamedTuple):
    """Where keys are: each app has its own in each store, as daprd keeps them apart by default."""

    app_id: str
    store: str


class Item(NamedTuple):
    """What is kept under a key.

    Attributes:
        value: As it was saved.
        etag: Another one after each change.
        expires_at: Seconds since the epoch; None: never.
    """

    value: bytes
    etag: str
    expires_at: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a key is to become.

    Attributes:
        key: The key.
        value: What is saved; None: the key is deleted.
        etag: The etag that it has to have; '': whichever.
        first_write: Whether, without an etag, the key has to be free.
        ttl_seconds: How long a value stays; None: for ever.
    """

    key: str
    value: bytes | None
    etag: str = ''
    first_write: bool = False
    ttl_seconds: int | None = None


class Items:
    """The keys of all stores. It is used on the emulator's thread, like all of its state.

    Args:
        tables: The database.
        clock: The seconds since the epoch, which expiry goes by.

    All methods raise StoreError when the database fails.
    """

    def __init__(self, tables: Tables, clock: Callable[[], float]) -> None:
        self._tables = tables
        self._clock = clock

    def get(self, place: Place, key: str) -> Item | None:
        """What is kept under a key, or None."""
        rows = self._tables.execute(
            'SELECT value, etag, expires_at FROM state_items WHERE app_id = ? AND store = ? AND key = ? '
            'AND (expires_at IS NULL OR expires_at > ?)',
            (*place, key, self._now()),
        )
        for value, etag, expires_at in rows:
            return Item(value, etag, None if expires_at is None else expires_at / _MICROSECONDS)
        return None

    def change(self, place: Place, changes: Iterable[Change]) -> None:
        """Makes all changes, in their order, or none of them.

        Raises:
            Refused: ABORTED: a key's etag is not the one that was given, or a first write has found the key taken.
        """
        with self._tables.transaction():
            self._tables.execute('DELETE FROM state_items WHERE expires_at <= ?', (self._now(),))
            for change in changes:
                self._require_etag(place, change)
                if change.value is None:
                    self._tables.execute(
                        'DELETE FROM state_items WHERE app_id = ? AND store = ? AND key = ?', (*place, change.key)
                    )
                    continue
                expires_at = None if change.ttl_seconds is None else self._now() + change.ttl_seconds * _MICROSECONDS
                self._tables.execute(
                    'INSERT OR REPLACE INTO state_items VALUES (?, ?, ?, ?, ?, ?)',
                    (*place, change.key, change.value, uuid.uuid4().hex, expires_at),
                )

    def _require_etag(self, place: Place, change: Change) -> None:
        if not change.etag and not change.first_write:
            return
        item = self.get(place, change.key)
        if change.etag:
            if item is None:
                raise _mismatch(place, change, 'there is no such key')
            if item.etag != change.etag:
                raise _mismatch(place, change, f'it has etag {item.etag}, not {change.etag}')
        elif item is not None:
            raise _mismatch(place, change, 'it is there already, and a first write without an etag wants it free')

    def _now(self) -> int:
        return int(self._clock() * _MICROSECONDS)


def _mismatch(place: Place, change: Change, why: str) -> Refused:
    doing = 'deleting' if change.value is None else 'saving'
    return Refused(
        grpc.StatusCode.ABORTED,
        f"failed {doing} state in state store {place.store}: possible etag mismatch for key '{change.key}': {why}",
    )
