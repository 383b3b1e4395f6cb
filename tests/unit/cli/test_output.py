"""What commands read and write: moments, tables, YAML."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta

import pytest

from dapr.ext.workflow.cli import moments
from dapr.ext.workflow.cli.output import clipped, payload, plain_table, to_yaml


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('300ms', timedelta(milliseconds=300)),
        ('1.5h', timedelta(hours=1.5)),
        ('2h45m', timedelta(hours=2, minutes=45)),
        ('7d', timedelta(days=7)),
        ('', None),
        ('5', None),
        ('5 s', None),
        ('soon', None),
    ],
)
def test_durations_are_read_as_go_writes_them(text: str, expected: timedelta | None) -> None:
    assert moments.duration(text) == expected


def test_a_moment_is_a_duration_ago_or_a_timestamp() -> None:
    assert abs(moments.ago('1h') - (moments.now() - timedelta(hours=1))) < timedelta(minutes=1)
    assert moments.ago('2026-01-31T09:30:00+02:00') == datetime(2026, 1, 31, 7, 30)
    assert moments.ago('2026-01-31') == datetime(2026, 1, 31)


@pytest.mark.parametrize('text', ['yesterday', '99999999999w'])
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match='2h45m'):
        moments.ago(text)


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.04, '40ms'), (2.5, '2.5s'), (60, '1m'), (130, '2m10s'), (7200, '2h'), (90000, '1d1h'), (86400 * 12.5, '12d')],
)
def test_ages_have_one_or_two_units(seconds: float, text: str) -> None:
    assert moments.short(timedelta(seconds=seconds)) == text


def test_a_table_is_columns_and_nothing_else() -> None:
    assert plain_table(['A', 'LONG'], [['value', 'x'], ['v', '']]) == ['A      LONG', 'value  x', 'v']


def test_yaml_is_read_by_a_yaml_reader_as_the_same_data() -> None:
    yaml = pytest.importorskip('yaml')
    data = {
        'a': [1, {'b': None, 'c d': 'x: y\nz'}, [], [[2]]],
        'text': 'yes',
        'empty': {},
        'number': 1.5,
        'nested': {'deep': {'er': True}},
    }
    assert yaml.safe_load(to_yaml(data)) == data


def test_a_payload_cannot_steer_the_terminal() -> None:
    assert '\x1b' not in clipped('"\x1b[2Jgone"')
    assert clipped('x' * 100, 10) == 'x' * 9 + '…'


def test_a_payload_that_is_no_json_is_shown_as_it_is() -> None:
    assert payload('{"a": 1}') == {'a': 1}
    assert payload('not json') == 'not json'
    assert payload(None) is None
