"""The database: who may have it, which ones can be read, and what a transaction is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dapr.ext.workflow.emulator.errors import StoreError
from dapr.ext.workflow.emulator.state import schema
from dapr.ext.workflow.emulator.state.store import InstanceRow, Store, TimerRow


def row(pk: int, instance_id: str, status: int = 0) -> InstanceRow:
    return InstanceRow(pk, '', instance_id, status, 10 * pk, None, 10 * pk, None, b'start', None, None)


def add(store: Store, *rows: InstanceRow) -> None:
    with store.transaction():
        for each in rows:
            store.add_instance(each)


def test_a_file_has_one_emulator_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / 'emulator.db'
    store = Store(path)
    add(store, row(1, 'x'))

    with pytest.raises(StoreError, match=f'{path}.*in use by another process'):
        Store(path)

    assert store.instance('', 'x') == row(1, 'x')
    store.close()
    assert Store(path).instance('', 'x') == row(1, 'x')


def test_an_emulator_in_another_process_is_refused_and_one_that_was_killed_is_not_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / 'emulator.db'
    program = (
        'import sys; from dapr.ext.workflow.emulator.state.store import Store; '
        'store = Store(sys.argv[1]); print("has it", flush=True); sys.stdin.read()'
    )
    with subprocess.Popen(
        [sys.executable, '-c', program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b'has it\n'
        with pytest.raises(StoreError, match='in use by another process'):
            Store(path)
        other.kill()
        other.wait()
        Store(path).close()


def test_two_stores_in_memory_have_nothing_in_common() -> None:
    one, other = Store(), Store()
    add(one, row(1, 'x'))
    assert other.instance('', 'x') is None


def test_a_database_of_a_newer_emulator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'emulator.db'
    with monkeypatch.context() as newer:
        newer.setattr(schema, 'MIGRATIONS', (*schema.MIGRATIONS, ('CREATE TABLE more (id INTEGER)',)))
        Store(path).close()

    with pytest.raises(StoreError, match=rf'newer emulator \(schema {len(schema.MIGRATIONS) + 1}; this one knows'):
        Store(path)


def test_a_database_of_an_older_emulator_is_migrated_and_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'emulator.db'
    older = Store(path)
    add(older, row(1, 'x'))
    older.close()
    step = ('ALTER TABLE timers ADD COLUMN note TEXT', "UPDATE instances SET custom_status = 'migrated'")
    monkeypatch.setattr(schema, 'MIGRATIONS', (*schema.MIGRATIONS, step))

    for _ in range(2):  # and not a second time
        store = Store(path)
        assert store.instance('', 'x') == row(1, 'x')._replace(custom_status='migrated')
        store.close()


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'emulator.db'
    older = Store(path)
    add(older, row(1, 'x'))
    older.close()
    with monkeypatch.context() as newer:
        newer.setattr(schema, 'MIGRATIONS', (*schema.MIGRATIONS, ('DELETE FROM instances', 'NO SQL')))
        with pytest.raises(StoreError, match='syntax error'):
            Store(path)

    assert Store(path).instance('', 'x') == row(1, 'x')


def test_what_is_no_emulators_database_is_let_be(tmp_path: Path) -> None:
    text, other, missing = tmp_path / 'text', tmp_path / 'other.db', tmp_path / 'none' / 'emulator.db'
    text.write_text('no database, but long enough to be looked at as one' * 20)
    connection = sqlite3.connect(other)
    connection.execute('CREATE TABLE precious (id INTEGER)')
    connection.close()
    before = other.read_bytes()

    with pytest.raises(StoreError, match='not a database'):
        Store(text)
    with pytest.raises(StoreError, match="not a workflow emulator's"):
        Store(other)
    with pytest.raises(StoreError, match='cannot be opened'):
        Store(missing)
    tables = sqlite3.connect(other).execute('SELECT name FROM sqlite_master').fetchall()
    assert (tables, len(other.read_bytes())) == ([('precious',)], len(before))


def test_a_transaction_that_ends_with_an_error_has_not_been() -> None:
    store = Store()
    with pytest.raises(KeyError), store.transaction():  # noqa: PT012  # the error comes after the write
        store.add_instance(row(1, 'x'))
        raise KeyError
    assert store.instance('', 'x') is None
    add(store, row(1, 'x'))  # and the store goes on
    assert store.instance('', 'x') == row(1, 'x')


def test_ids_go_on_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / 'emulator.db'
    store = Store(path)
    pk, timer, message = store.new_pk(), store.new_id(), store.new_id()
    with store.transaction():
        store.add_instance(row(pk, 'x'))
        store.add_timers([TimerRow(timer, pk, 5, b'fired')])
        store.add_inbox([(message, pk, b'event')])
    store.close()

    again = Store(path)
    assert again.new_pk() > pk
    assert again.new_id() > message > timer


def test_timers_come_in_the_order_of_their_times() -> None:
    store = Store()
    add(store, row(1, 'x'), row(2, 'y'))
    assert store.next_due() is None
    with store.transaction():
        store.add_timers([TimerRow(1, 1, 30, b'a'), TimerRow(2, 2, 20, b'b'), TimerRow(3, 1, 20, b'c')])
    assert store.next_due() == 20
    assert [event for *_, event in store.due(25)] == [b'b', b'c']
    assert [event for *_, event in store.due(30)] == [b'b', b'c', b'a']


def test_an_instance_that_is_removed_leaves_nothing_behind() -> None:
    store = Store()
    add(store, row(1, 'x'), row(2, 'y'))
    with store.transaction():
        for pk in (1, 2):
            store.add_history(pk, 0, [b'one', b'two'])
            store.add_inbox([(pk, pk, b'event')])
            store.add_timers([TimerRow(pk, pk, 5, b'fired')])
            store.add_end(pk, b'end')
        store.remove(1)

    tables = [name for (name,) in store._rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert {
        store._one(f'SELECT count(*) FROM {table}') for table in tables if table not in ('activities', 'state_items')
    } <= {1, 2}
    assert store._one('SELECT count(*) FROM history') == 2
    assert store._one('SELECT count(*) FROM instances') == 1
    assert store.history(2) == [b'one', b'two']
