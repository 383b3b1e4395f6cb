# mypy: disable-error-code="comparison-overlap"
"""Values of each type go out as JSON in a stated form, and come back as what they were where their type is given."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import PurePath, PurePosixPath
from types import SimpleNamespace
from typing import Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar, Union
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import Annotated, NotRequired, Required, TypeAliasType, TypedDict  # noqa: UP035

from dapr.ext.workflow import DataConversionError, JsonDataConverter
from tests.unit.test_json import PROBES

MARK = ', "__durabletask_autoobject__": true}'
T = TypeVar('T')
UserId = NewType('UserId', int)
Json = TypeAliasType('Json', 'dict[str, Json] | list[Json] | int | None')
CONVERTER = JsonDataConverter()


class Colour(enum.Enum):
    RED = 'red'
    NONE = None
    PAIR = (1, 2)
    DAY = date(2020, 1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class Money:
    amount: Decimal
    currency: str = 'EUR'


@dataclasses.dataclass(frozen=True)
class Item:
    name: str
    price: Money
    tags: frozenset[str] = frozenset()


@dataclasses.dataclass
class Order:
    items: list[Item]
    by_name: dict[str, Item]
    when: datetime
    parent: Order | None = None
    total: int = dataclasses.field(init=False, default=0)

    def __post_init__(self) -> None:
        self.total = len(self.items)


@dataclasses.dataclass
class Page(Generic[T]):
    items: list[T]
    first: T | None = None


@dataclasses.dataclass
class Orders(Page[Order]):
    count: int = 0


class Point(NamedTuple):
    x: int
    y: Decimal = Decimal(0)


class Settings(TypedDict, total=False):
    since: Required[date]
    depth: int


class Cat(TypedDict):
    name: str
    lives: NotRequired[int]


MONEY = Money(Decimal('1.10'))
MONEY_JSON = '{"amount": "1.10", "currency": "EUR"'
ITEM = Item('tea', MONEY, frozenset(['b', 'a']))
ITEM_JSON = '{"name": "tea", "price": ' + MONEY_JSON + '}, "tags": ["a", "b"]'
MOMENT = datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
MOMENT_JSON = '"2020-01-02T03:04:05.000006+00:00"'

VALUES = [
    (MONEY, Money, MONEY_JSON + MARK),
    (ITEM, Item, ITEM_JSON + MARK),
    ([ITEM], list[Item], '[' + ITEM_JSON + MARK + ']'),
    ({'a': ITEM}, dict[str, Item], '{"a": ' + ITEM_JSON + MARK + '}'),
    (
        Order([ITEM], {'x': ITEM}, MOMENT, Order([], {}, MOMENT)),
        Order,
        '{"items": [' + ITEM_JSON + '}], "by_name": {"x": ' + ITEM_JSON + '}}, "when": ' + MOMENT_JSON
        + ', "parent": {"items": [], "by_name": {}, "when": ' + MOMENT_JSON + ', "parent": null, "total": 0}'
        + ', "total": 1'
        + MARK,
    ),
    (Page([MONEY], MONEY), Page[Money], '{"items": [' + MONEY_JSON + '}], "first": ' + MONEY_JSON + '}' + MARK),
    (Orders([], None, 3), Orders, '{"items": [], "first": null, "count": 3' + MARK),
    (Point(1, Decimal(2)), Point, '{"x": 1, "y": "2"' + MARK),
    ([Point(1)], list[Point], '[[1, "0"]]'),
    ({'since': date(2020, 1, 2), 'depth': 1}, Settings, '{"since": "2020-01-02", "depth": 1}'),
    ({'name': 'Tom'}, Cat, '{"name": "Tom"}'),
    (Colour.RED, Colour, '"red"'),
    ([Colour.PAIR, Colour.DAY, Colour.NONE], list[Colour], '[[1, 2], "2020-01-02", null]'),
    (Level.LOW, Level, '1'),
    (Flags.A | Flags.B, Flags, '3'),
    (MOMENT, datetime, MOMENT_JSON),
    (datetime(2020, 1, 2), datetime, '"2020-01-02T00:00:00"'),
    (date(2020, 1, 2), date, '"2020-01-02"'),
    (time(1, 2, 3), time, '"01:02:03"'),
    (timedelta(days=1, hours=2, seconds=3, microseconds=500_000), timedelta, '"P1DT2H3.5S"'),
    (timedelta(0), timedelta, '"PT0S"'),
    (-timedelta(minutes=90), timedelta, '"-PT1H30M"'),
    (timedelta.max, timedelta, '"P999999999DT23H59M59.999999S"'),
    (Decimal('1E+3'), Decimal, '"1E+3"'),
    (UUID(int=1), UUID, '"00000000-0000-0000-0000-000000000001"'),
    (PurePosixPath('/a/b'), PurePosixPath, '"/a/b"'),
    (b'\x00\xff', bytes, '"AP8="'),
    (bytearray(b'a'), bytearray, '"YQ=="'),
    ({3, 1, 20}, set[int], '[1, 3, 20]'),
    (frozenset(['b', 'a']), frozenset[str], '["a", "b"]'),
    ({UUID(int=2), UUID(int=1)}, set[UUID], '["' + str(UUID(int=1)) + '", "' + str(UUID(int=2)) + '"]'),
    ({(2, 'b'), (1, 'a')}, set[tuple[int, str]], '[[1, "a"], [2, "b"]]'),
    ((1, 'a', date(2020, 1, 2)), tuple[int, str, date], '[1, "a", "2020-01-02"]'),
    ((1, 2, 3), tuple[int, ...], '[1, 2, 3]'),
    ((), tuple[()], '[]'),
    ((1, 'a'), tuple, '[1, "a"]'),
    (collections.deque([1, 2]), collections.deque[int], '[1, 2]'),
    (collections.OrderedDict(b=1), collections.OrderedDict[str, int], '{"b": 1}'),
    (collections.Counter('aab'), collections.Counter[str], '{"a": 2, "b": 1}'),
    ([MONEY], Sequence[Money], '[' + MONEY_JSON + MARK + ']'),
    ({'a': b'a'}, Mapping[str, bytes], '{"a": "YQ=="}'),
    ({1: 'a', 2: 'b'}, dict[int, str], '{"1": "a", "2": "b"}'),
    ({date(2020, 1, 2): 1}, dict[date, int], '{"2020-01-02": 1}'),
    ({Colour.RED: [UUID(int=1)]}, dict[Colour, list[UUID]], '{"red": ["' + str(UUID(int=1)) + '"]}'),
    ({True: 1, None: 2}, dict[Optional[bool], int], '{"true": 1, "null": 2}'),
    ({1.5: 1}, dict[float, int], '{"1.5": 1}'),
    (MONEY, Optional[Money], MONEY_JSON + MARK),
    (MONEY, Money | None, MONEY_JSON + MARK),
    (MONEY, Annotated[Money, 'of a kind'], MONEY_JSON + MARK),
    ([MONEY, 5, 1.5, True, 'x', None], list[Union[Money, int, float, bool, str, None]],
     '[' + MONEY_JSON + MARK + ', 5, 1.5, true, "x", null]'),
    (ITEM, Union[Money, Item], ITEM_JSON + MARK),
    (MOMENT, Union[datetime, str], MOMENT_JSON),
    ('red', Literal['red', 'blue'], '"red"'),
    (Colour.RED, Literal[Colour.RED], '"red"'),
    (UserId(5), UserId, '5'),
    ({'a': [1, {'b': None}]}, Json, '{"a": [1, {"b": null}]}'),
    ({'a': [1, {'b': 1.5}]}, dict[str, Any], '{"a": [1, {"b": 1.5}]}'),
    (10**30, int, '1' + '0' * 30),
    ('\ud800', str, '"\\ud800"'),
]  # fmt: skip


@pytest.mark.parametrize(('value', 'target_type', 'encoded'), VALUES)
def test_a_value_goes_out_in_its_form_and_comes_back_as_its_type(value: Any, target_type: Any, encoded: str) -> None:
    text = CONVERTER.serialize(value)
    assert text == encoded
    result = CONVERTER.deserialize(text, target_type)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(('value', 'target_type', 'encoded'), VALUES)
def test_what_goes_out_is_json(value: Any, target_type: Any, encoded: str) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f'{word} is not JSON')

    json.loads(encoded, parse_constant=refuse)


def test_inner_values_are_of_their_types_too() -> None:
    order = CONVERTER.deserialize(CONVERTER.serialize(Order([ITEM], {'x': ITEM}, MOMENT)), Order)
    assert isinstance(order.items[0].price, Money)
    assert type(order.items[0].tags) is frozenset
    page = CONVERTER.deserialize('{"items": [{"x": 1}], "first": {"x": 2}}', Page[Point])
    assert type(page.items[0]) is type(page.first) is Point


@pytest.mark.parametrize(
    ('text', 'target_type', 'value'),
    [
        ('"2020-01-02T03:04:05Z"', datetime, datetime(2020, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
        ('"2020-01-02T03:04:05.1Z"', datetime, datetime(2020, 1, 2, 3, 4, 5, 100_000, tzinfo=timezone.utc)),
        ('"2020-01-02T03:04:05.123456789+02:00"', datetime,
         datetime(2020, 1, 2, 3, 4, 5, 123_456, tzinfo=timezone(timedelta(hours=2)))),
        ('"2020-01-02T00:00:00Z"', date, date(2020, 1, 2)),
        ('1.5', timedelta, timedelta(seconds=1.5)),
        ('"P1W"', timedelta, timedelta(weeks=1)),
        ('5', Decimal, Decimal(5)),
        ('1.10', Decimal, Decimal('1.1')),
        ('5.0', int, 5),
        ('5', float, 5),
        ('null', Money, None),
        ('{"amount": "1", "more": 5}', Money, Money(Decimal(1))),
        ('{"name": "Tom", "more": 5}', Cat, {'name': 'Tom', 'more': 5}),
        ('{"x": 1}', Point, Point(1)),
        ('{"x": 1}', SimpleNamespace, {'x': 1}),
        ('{"x": 1, "__durabletask_autoobject__": true}', Any, SimpleNamespace(x=1)),
    ],
)  # fmt: skip
def test_what_others_write_is_read_too(text: str, target_type: Any, value: Any) -> None:
    result = CONVERTER.deserialize(text, target_type)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ('text', 'target_type', 'place', 'problem'),
    [
        ('"abc"', int, (), "expected int, got str 'abc'"),
        ('true', int, (), 'expected int, got bool True'),
        ('1.5', int, (), 'expected int, got float 1.5'),
        ('1', bool, (), 'expected bool, got int 1'),
        ('1', str, (), 'expected str, got int 1'),
        ('"1.5"', float, (), "expected float, got str '1.5'"),
        ('{"items": [], "by_name": {"x y": {"name": "tea", "price": {"amount": "abc"}}}, "when": "2020-01-01"}', Order,
         ('by_name', 'x y', 'price', 'amount'), "expected Decimal, got str 'abc'"),
        ('[{"amount": "1"}, {"currency": "EUR"}]', list[Money], (1,),
         "expected Money, which needs 'amount', got an object with 'currency'"),
        ('[1, null]', list[int], (1,), 'expected int, got null'),
        ('{"a": 1}', dict[date, int], ('a',), "expected date (ISO 8601), got str 'a'"),
        ('{}', Cat, (), "expected Cat, which needs 'name', got an object without keys"),
        ('[1, 2]', tuple[int], (), 'expected a list of 1 for tuple, got one of 2'),
        ('[1, "a"]', tuple[int, int], (1,), "expected int, got str 'a'"),
        ('[["a"]]', list[Point], (0, 0), "expected int, got str 'a'"),
        ('{"a": 1}', list[int], (), "expected a list, got dict {'a': 1}"),
        ('"blue"', Colour, (), "expected Colour ('red', None, (1, 2), datetime.date(2020, 1, 2)), got str 'blue'"),
        ('"blue"', Literal['red'], (), "expected one of 'red', got str 'blue'"),
        ('"YQ==!"', bytes, (), "expected bytes (Base64), got str 'YQ==!'"),
        ('"x"', UUID, (), "expected UUID, got str 'x'"),
        ('"5"', timedelta, (), "expected timedelta (ISO 8601, or seconds), got str '5'"),
        ('[[1]]', set[list[int]], (), "expected set, got items that it cannot hold: unhashable type: 'list'"),
        ('"a"', Union[int, Money], (), "expected one of int, Money, got str 'a' (int: expected int, got str 'a'; "
         "Money: expected an object for Money, got str 'a')"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_place_what_was_expected_and_what_came(
    text: str, target_type: Any, place: tuple[str | int, ...], problem: str
) -> None:
    with pytest.raises(DataConversionError) as caught:
        CONVERTER.deserialize(text, target_type)
    assert caught.value.path == place
    assert caught.value.problem == problem


def test_a_place_is_told_as_python_writes_it() -> None:
    with pytest.raises(DataConversionError, match=r"^at \[0\]\.price\['a b'\]\[1\]: expected int, got null$"):
        CONVERTER.deserialize('[{"price": {"a b": [1, null]}}]', list[dict[str, dict[str, list[int]]]])


def test_a_member_of_a_union_that_has_all_keys_is_taken() -> None:
    @dataclasses.dataclass
    class Small:
        x: int

    @dataclasses.dataclass
    class Big:
        x: int
        y: int = 0

    both = Union[Small, Big]
    for value in (Small(1), Big(1, 2)):
        assert CONVERTER.deserialize(CONVERTER.serialize(value), both) == value
    assert CONVERTER.deserialize('{"x": 1, "more": 2}', both) == Small(1)


def test_unions_of_the_same_members_in_another_order_are_others() -> None:
    text = '"2020-01-02"'
    assert CONVERTER.deserialize(text, Union[date, str]) == date(2020, 1, 2)
    assert CONVERTER.deserialize(text, Union[str, date]) == '2020-01-02'
    assert CONVERTER.deserialize(f'[{text}]', list[date | str]) == [date(2020, 1, 2)]
    assert CONVERTER.deserialize(f'[{text}]', list[str | date]) == ['2020-01-02']


def test_what_a_constructor_raises_is_told() -> None:
    @dataclasses.dataclass
    class Positive:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise KeyError('negative')

    with pytest.raises(DataConversionError, match='expected Positive, whose constructor raised KeyError') as caught:
        CONVERTER.deserialize('[{"x": -1}]', list[Positive])
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.path == (0,)


def test_an_error_can_be_pickled_and_keeps_what_it_knows() -> None:
    import copy
    import pickle

    error = DataConversionError('expected int, got null', ('a', 1), "result of 'x'")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert str(twin) == str(error)
        assert (twin.path, twin.what) == (('a', 1), "result of 'x'")


class TestNumbersThatAreNone:
    @pytest.mark.parametrize(
        ('value', 'text'),
        [(math.nan, 'NaN'), ([math.inf, {'a': -math.inf}], '[Infinity, {"a": -Infinity}]')],
    )
    def test_they_are_written_as_before_and_told(
        self, value: Any, text: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr('dapr.ext.workflow.values.writing._told', set())
        assert CONVERTER.serialize(value) == CONVERTER.serialize(value) == text
        assert repr(CONVERTER.deserialize(text)) == repr(value)
        assert [record.name for record in caplog.records] == ['dapr.workflow.values']  # once for each place
        assert 'not JSON' in caplog.text

    def test_they_can_be_refused(self) -> None:
        with pytest.raises(ValueError, match=r'NaN and the infinities.*\(at a\[1\]\)'):
            JsonDataConverter(allow_nan=False).serialize({'a': [1, math.nan]})


class TestWhatCannotBeEncoded:
    @pytest.mark.parametrize(
        ('value', 'place'),
        [
            ({'a': [1, object()]}, r'\(at a\[1\]\)'),
            ([Order([], {'x': object()}, MOMENT)], r'\(at \[0\]\.by_name\.x\)'),  # type: ignore[dict-item]
            (SimpleNamespace(a={'b c': object()}), r"\(at a\['b c'\]\)"),
            ({'k': {(1, 2): 3}}, r'keys must be .* not tuple \(at k\)'),
        ],
    )
    def test_its_place_is_told(self, value: Any, place: str) -> None:
        with pytest.raises(TypeError, match=place):
            CONVERTER.serialize(value)

    def test_what_contains_itself(self) -> None:
        loop: list[Any] = []
        loop.append({'a': loop})
        with pytest.raises(ValueError, match=r'Circular reference.*\(at \[0\]\.a\)'):
            CONVERTER.serialize(loop)

    def test_an_int_of_more_digits_than_python_writes(self) -> None:
        with pytest.raises(ValueError, match=r'4300.*\(at \[0\]\)'):
            CONVERTER.serialize([10**5000])


def test_the_order_of_a_set_does_not_depend_on_the_process() -> None:
    values = {frozenset([Point(i, Decimal(j)) for i in range(3)]) for j in range(5)}
    items = json.loads(str(CONVERTER.serialize(values)))
    assert items == [[[i, str(j)] for i in range(3)] for j in range(5)]
    assert json.loads(str(CONVERTER.serialize({'b', 'a', 'c'}))) == ['a', 'b', 'c']


def test_untyped_everything_is_as_before() -> None:
    untyped = JsonDataConverter(typed=False)
    assert untyped.deserialize('{"amount": "1"}', Money) == {'amount': '1'}
    assert untyped.deserialize('5', str) == 5
    assert untyped.deserialize(untyped.serialize(MONEY)) == SimpleNamespace(amount='1.10', currency='EUR')


def test_a_type_of_the_apps_own_and_a_base_path_are_left_alone() -> None:
    class Plain:
        pass

    assert CONVERTER.deserialize('{"a": 1}', Plain) == {'a': 1}
    assert isinstance(CONVERTER.deserialize('"a"', PurePath), PurePath)


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(plain_json)
def test_plain_json_is_what_json_writes(value: Any) -> None:
    encoded = CONVERTER.serialize(value)
    assert encoded == json.dumps(value)
    assert CONVERTER.deserialize(encoded) == value


scalars = [
    st.timedeltas(),
    st.datetimes(),
    st.dates(),
    st.times(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.binary(),
]


@given(st.one_of(scalars))
def test_scalars_come_back_exactly(value: Any) -> None:
    assert CONVERTER.deserialize(CONVERTER.serialize(value), type(value)) == value


@pytest.mark.parametrize(('payload', 'encoded', 'decoded'), PROBES)
def test_what_dapr_1_19_0_writes_is_written_and_read_as_it_does(payload: Any, encoded: str, decoded: Any) -> None:
    assert CONVERTER.serialize(payload) == encoded
    result = CONVERTER.deserialize(encoded)
    assert result == decoded
    assert type(result) is type(decoded)
