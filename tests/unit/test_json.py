"""Payloads on the wire. The literal strings are what today's workers and clients write, and must be read by them."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import math
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional, Union

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr.ext.workflow._durabletask.internal import shared
from dapr.ext.workflow._durabletask.internal.json_codec import (
    AUTO_SERIALIZED,
    InternalJSONDecoder,
    InternalJSONEncoder,
    coerce_to_annotation,
    decode_input,
    from_json,
    to_json,
)

if TYPE_CHECKING:
    from somewhere import NotThereAtRunTime  # type: ignore[import-not-found]

MARK = '"__durabletask_autoobject__": true'


@dataclasses.dataclass
class Inner:
    a: Any
    b: Any = None


@dataclasses.dataclass
class Outer:
    i: Inner
    xs: list[Any]


@dataclasses.dataclass
class Slotted:
    __slots__ = ('a',)
    a: int


@dataclasses.dataclass
class Empty:
    pass


Pair = collections.namedtuple('Pair', 'x y')


class Typed(NamedTuple):
    p: int
    q: Any = None


class Model:
    """What the codec knows of pydantic's models."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def model_dump(self, mode: str = 'python') -> dict[str, Any]:
        return {**vars(self), 'mode': mode}

    @classmethod
    def model_validate(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f'no fields in {value!r}')
        return cls(**value)


class OldModel(Model):
    def model_dump(self) -> dict[str, Any]:  # type: ignore[override]
        return dict(vars(self))


class KeywordModel(Model):
    def model_dump(self, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        return options


@dataclasses.dataclass
class DataclassModel:
    a: int

    def model_dump(self, mode: str = 'python') -> dict[str, Any]:
        return {'dumped': mode}

    @classmethod
    def model_validate(cls, value: Any) -> Any:
        return cls(**value)


class NamedtupleModel(collections.namedtuple('NamedtupleModel', 'a')):
    def model_dump(self, mode: str = 'python') -> dict[str, Any]:
        return {'dumped': mode}

    @classmethod
    def model_validate(cls, value: Any) -> Any:
        return cls(**value)


class DumpOnly:
    def model_dump(self, mode: str = 'python') -> dict[str, Any]:
        return {}


class ValidateOnly:
    @classmethod
    def model_validate(cls, value: Any) -> Any:
        return cls()


class AnswersToEverything:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: 5


class Plain:
    pass


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    HI = 'hi'


class Text(str):
    __slots__ = ()


PROBES = [
    (None, 'null', None),
    (True, 'true', True),
    (False, 'false', False),
    (0, '0', 0),
    (1, '1', 1),
    (-0.0, '-0.0', -0.0),
    (1.5, '1.5', 1.5),
    (1e22, '1e+22', 1e22),
    (1e-7, '1e-07', 1e-7),
    (10**30, '1000000000000000000000000000000', 10**30),
    (math.inf, 'Infinity', math.inf),
    (-math.inf, '-Infinity', -math.inf),
    ('', '""', ''),
    ('x', '"x"', 'x'),
    ('ü☃😀', '"\\u00fc\\u2603\\ud83d\\ude00"', 'ü☃😀'),
    ('\ud800', '"\\ud800"', '\ud800'),
    ('\x00\n"\\/', '"\\u0000\\n\\"\\\\/"', '\x00\n"\\/'),
    (Text('x'), '"x"', 'x'),
    (Word.HI, '"hi"', 'hi'),
    (Number.ONE, '1', 1),
    ([], '[]', []),
    ({}, '{}', {}),
    ((1, 2), '[1, 2]', [1, 2]),
    ({'a': [1, {'b': None}]}, '{"a": [1, {"b": null}]}', {'a': [1, {'b': None}]}),
    ({1: 2, None: 3, 1.5: 6}, '{"1": 2, "null": 3, "1.5": 6}', {'1': 2, 'null': 3, '1.5': 6}),
    ({True: 4}, '{"true": 4}', {'true': 4}),
    (collections.OrderedDict(b=1, a=2), '{"b": 1, "a": 2}', {'b': 1, 'a': 2}),
    (Inner(1, 2), '{"a": 1, "b": 2, ' + MARK + '}', SimpleNamespace(a=1, b=2)),
    ([Inner(1)], '[{"a": 1, "b": null, ' + MARK + '}]', [SimpleNamespace(a=1, b=None)]),
    (
        Outer(Inner(1, Inner(3)), [Inner(5), {'k': Inner(6)}]),
        '{"i": {"a": 1, "b": {"a": 3, "b": null}}, '
        '"xs": [{"a": 5, "b": null}, {"k": {"a": 6, "b": null}}], ' + MARK + '}',
        SimpleNamespace(
            i={'a': 1, 'b': {'a': 3, 'b': None}}, xs=[{'a': 5, 'b': None}, {'k': {'a': 6, 'b': None}}]
        ),
    ),
    (Slotted(1), '{"a": 1, ' + MARK + '}', SimpleNamespace(a=1)),
    (Empty(), '{' + MARK + '}', SimpleNamespace()),
    (Pair(1, 2), '{"x": 1, "y": 2, ' + MARK + '}', SimpleNamespace(x=1, y=2)),
    (Pair(Pair(1, 2), [Pair(3, 4)]), '{"x": [1, 2], "y": [[3, 4]], ' + MARK + '}',
     SimpleNamespace(x=[1, 2], y=[[3, 4]])),
    ([Pair(1, 2)], '[[1, 2]]', [[1, 2]]),
    (
        Typed(1, Inner(2)),
        '{"p": 1, "q": {"a": 2, "b": null, ' + MARK + '}, ' + MARK + '}',
        SimpleNamespace(p=1, q=SimpleNamespace(a=2, b=None)),
    ),
    (Inner(Pair(1, 2), [Pair(1, 2)]), '{"a": [1, 2], "b": [[1, 2]], ' + MARK + '}',
     SimpleNamespace(a=[1, 2], b=[[1, 2]])),
    (
        SimpleNamespace(a=1, b=SimpleNamespace(c=2)),
        '{"a": 1, "b": {"c": 2, ' + MARK + '}, ' + MARK + '}',
        SimpleNamespace(a=1, b=SimpleNamespace(c=2)),
    ),
    (SimpleNamespace(a=Pair(1, 2)), '{"a": [1, 2], ' + MARK + '}', SimpleNamespace(a=[1, 2])),
    (SimpleNamespace(), '{' + MARK + '}', SimpleNamespace()),
    (Model(a=1), '{"a": 1, "mode": "json"}', {'a': 1, 'mode': 'json'}),
    ([{'m': Model(a=1)}], '[{"m": {"a": 1, "mode": "json"}}]', [{'m': {'a': 1, 'mode': 'json'}}]),
    (Model(a=Inner(1)), '{"a": {"a": 1, "b": null, ' + MARK + '}, "mode": "json"}',
     {'a': SimpleNamespace(a=1, b=None), 'mode': 'json'}),
    (Inner(Model(a=1)), '{"a": {"a": 1, "mode": "json"}, "b": null, ' + MARK + '}',
     SimpleNamespace(a={'a': 1, 'mode': 'json'}, b=None)),
    (OldModel(a=1), '{"a": 1}', {'a': 1}),
    (KeywordModel(a=1), '{"mode": "json"}', {'mode': 'json'}),
    (DataclassModel(1), '{"dumped": "json"}', {'dumped': 'json'}),
    (NamedtupleModel(1), '{"a": 1, ' + MARK + '}', SimpleNamespace(a=1)),
    ({AUTO_SERIALIZED: True, 'a': 1}, '{' + MARK + ', "a": 1}', SimpleNamespace(a=1)),
]  # fmt: skip


@pytest.mark.parametrize(('payload', 'encoded', 'decoded'), PROBES)
class TestWireForm:
    def test_encoded(self, payload: Any, encoded: str, decoded: Any) -> None:
        assert to_json(payload) == encoded
        assert InternalJSONEncoder().encode(payload) == encoded
        assert json.dumps(payload, cls=InternalJSONEncoder) == encoded

    def test_decoded(self, payload: Any, encoded: str, decoded: Any) -> None:
        for text in (encoded, f' {encoded}\n'):
            result = from_json(text)
            assert result == decoded
            assert type(result) is type(decoded)
            assert InternalJSONDecoder().decode(text) == decoded
        assert from_json(encoded.encode()) == decoded


def test_not_a_number() -> None:
    assert to_json(math.nan) == 'NaN'
    assert math.isnan(from_json('NaN'))


@pytest.mark.parametrize(
    ('payload', 'name'),
    [
        ({1}, 'set'),
        (frozenset([1]), 'frozenset'),
        (datetime.datetime(2020, 1, 1), 'datetime'),
        (datetime.timedelta(1), 'timedelta'),
        (decimal.Decimal('1.5'), 'Decimal'),
        (uuid.UUID(int=1), 'UUID'),
        (b'x', 'bytes'),
        (Colour.RED, 'Colour'),
        (Plain(), 'Plain'),
        (DumpOnly(), 'DumpOnly'),
        (ValidateOnly(), 'ValidateOnly'),
        (AnswersToEverything(), 'AnswersToEverything'),
        (Inner, 'type'),
        (Model, 'type'),
        ((character for character in ''), 'generator'),
        (collections.deque([1]), 'deque'),
        (ValueError('x'), 'ValueError'),
        ([Inner({1})], 'set'),
        ({'a': [{1}]}, 'set'),
    ],
)
def test_what_cannot_be_encoded_is_named_with_what_to_do(payload: Any, name: str) -> None:
    with pytest.raises(TypeError, match=f'Object of type {name} is not JSON serializable.*travel as JSON.*convert'):
        to_json(payload)


def test_keys_that_cannot_be_encoded_are_named() -> None:
    with pytest.raises(TypeError, match='tuple'):
        to_json({(1, 2): 3})


def test_what_contains_itself_is_an_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match='Circular'):
        to_json(loop)


@pytest.mark.parametrize('text', ['', '{', '1 2', 'nope', "{'a': 1}", '\ufeff1', '{"__durabletask_autoobject__": tru}'])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the words are json's
        from_json(text)


@pytest.mark.parametrize('value', [None, 5])
def test_what_is_no_text_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        from_json(value)


@pytest.mark.parametrize(
    ('text', 'decoded'),
    [
        ('{"__durabletask_autoobject__": false, "x": 1}', {'x': 1}),
        ('{"__durabletask_autoobject__": null, "x": 1}', {'x': 1}),
        ('{"__durabletask_autoobject__": true, "not valid": 1}', SimpleNamespace(**{'not valid': 1})),
        ('"__durabletask_autoobject__"', '__durabletask_autoobject__'),
        ('{"a": 1, "a": 2}', {'a': 2}),
        ('1e400', math.inf),
    ],
)
def test_odd_json(text: str, decoded: Any) -> None:
    assert from_json(text) == decoded


def test_the_codec_takes_the_arguments_of_json() -> None:
    assert InternalJSONEncoder(indent=1).encode({'a': 1}) == '{\n "a": 1\n}'
    assert InternalJSONDecoder(parse_int=str).decode('{"a": 1}') == {'a': '1'}
    assert InternalJSONDecoder().raw_decode('{"a": 1} and more') == ({'a': 1}, 8)
    assert InternalJSONDecoder().dict_to_object({'a': 1, AUTO_SERIALIZED: True}) == SimpleNamespace(a=1)
    assert shared.to_json is to_json
    assert shared.from_json is from_json


plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
)


@given(plain_json)
def test_plain_json_comes_back_and_is_what_json_writes(value: Any) -> None:
    encoded = to_json(value)
    assert encoded == json.dumps(value)
    assert from_json(encoded) == value


# Inputs by annotation


def plain(ctx: Any, x: Any) -> None: ...
def untyped(ctx, x) -> None: ...  # type: ignore[no-untyped-def]
def a_model(ctx: Any, x: Model) -> None: ...
def optional(ctx: Any, x: Optional[Model] = None) -> None: ...
def or_none(ctx: Any, x: Model | None) -> None: ...
def annotated(ctx: Any, x: Annotated[Model, 'of a kind']) -> None: ...
def many(ctx: Any, x: list[Model]) -> None: ...
def by_name(ctx: Any, x: dict[str, Model]) -> None: ...
def either(ctx: Any, x: Union[Model, OldModel]) -> None: ...
def a_dataclass(ctx: Any, x: Inner) -> None: ...
def keyword(ctx: Any, *, x: Model) -> None: ...
def context_for_checkers_only(ctx: NotThereAtRunTime, x: Model) -> None: ...
def for_checkers_only(ctx: Any, x: NotThereAtRunTime) -> None: ...
def no_input(ctx: Any) -> None: ...
async def asynchronous(ctx: Any, x: Model) -> None: ...


@functools.wraps(a_model)
def wrapped(*args: Any) -> None: ...


class Holder:
    def method(self, ctx: Any, x: Model) -> None: ...

    def __call__(self, ctx: Any, x: Model) -> None: ...

    @staticmethod
    def static(ctx: Any, x: Model) -> None: ...


class Unhashable(Holder):
    __hash__ = None  # type: ignore[assignment]


def not_postponed() -> Any:
    namespace: dict[str, Any] = {'Model': Model}
    exec('def fn(ctx, x: Model): ...', namespace)
    return namespace['fn']


class TestInputs:
    @pytest.mark.parametrize(
        'fn',
        [a_model, optional, or_none, keyword, context_for_checkers_only, asynchronous, wrapped,
         functools.partial(a_model), Holder().method, Holder.static, Holder(), Unhashable(), not_postponed()],
    )  # fmt: skip
    @pytest.mark.parametrize('text', ['{"a": 1}', '{"a": 1, ' + MARK + '}'])
    def test_a_model_where_the_annotation_says_so(self, fn: Any, text: str) -> None:
        for _ in range(2):  # by inspection, and as remembered
            assert decode_input(fn, text) == Model(a=1)
            assert decode_input(fn, None) is None
            assert decode_input(fn, 'null') is None

    @pytest.mark.parametrize(
        'fn', [plain, untyped, either, a_dataclass, for_checkers_only, no_input, len, print, functools.partial(plain)]
    )
    def test_as_it_is_where_it_does_not(self, fn: Any) -> None:
        assert decode_input(fn, '{"a": 1}') == {'a': 1}
        assert decode_input(fn, '{"a": 1, ' + MARK + '}') == SimpleNamespace(a=1)
        assert decode_input(fn, '0') == 0

    def test_models_inside_other_annotations_are_the_apps_to_make(self) -> None:
        assert decode_input(many, '[{"a": 1}, {"a": 2}]') == [{'a': 1}, {'a': 2}]
        assert decode_input(by_name, '{"k": {"a": 1}}') == {'k': {'a': 1}}
        assert decode_input(annotated, '{"a": 1}') == Model(a=1)

    def test_what_a_dataclass_became_makes_a_model_all_the_way_down(self) -> None:
        text = to_json(SimpleNamespace(a=SimpleNamespace(b=[SimpleNamespace(c=1)])))
        assert decode_input(a_model, text) == Model(a={'b': [{'c': 1}]})

    def test_what_is_no_such_model_is_the_models_own_error(self) -> None:
        with pytest.raises(ValueError, match='no fields in 5'):
            decode_input(a_model, '5')

    def test_what_is_no_json_names_the_function(self) -> None:
        with pytest.raises(ValueError, match=r"The input of 'a_model' is not JSON, .*: Expecting property name"):
            decode_input(a_model, '{')
        with pytest.raises(ValueError, match=r"The input of 'Holder' is not JSON"):
            decode_input(Holder(), '{')

    def test_a_method_and_its_function_are_not_taken_for_each_other(self) -> None:
        class Shifted:
            def method(self: Any, ctx: Model, x: Any = None) -> None: ...

        # As a plain function, its second parameter is `ctx`.
        for _ in range(2):
            assert decode_input(Shifted.method, '{"a": 1}') == Model(a=1)
            assert decode_input(Shifted().method, '{"a": 1}') == {'a': 1}

    def test_a_value_that_is_the_model_stays_it(self) -> None:
        model = Model(a=1)
        assert coerce_to_annotation(model, Model) is model
        assert coerce_to_annotation(None, Model) is None
        assert coerce_to_annotation(5, int) == 5


def test_real_models_of_pydantic() -> None:
    pydantic = pytest.importorskip('pydantic')

    class Item(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        name: str
        when: datetime.datetime

    class Basket(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        items: list[Item]

    def shop(ctx: Any, basket: Any) -> None: ...

    shop.__annotations__['basket'] = Basket
    basket = Basket(items=[Item(name='tea', when=datetime.datetime(2020, 1, 2))])
    text = to_json(basket)
    assert text == '{"items": [{"name": "tea", "when": "2020-01-02T00:00:00"}]}'
    assert decode_input(shop, text) == basket
    with pytest.raises(pydantic.ValidationError):
        decode_input(shop, '{"items": 5}')
