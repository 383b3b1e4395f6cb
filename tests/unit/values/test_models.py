"""Models of pydantic's, containers of them, and attrs classes: whatever the library itself takes back comes back."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, Literal, Optional, TypeVar, Union
from uuid import UUID

import attr
import attrs
import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, computed_field, field_validator

from dapr.ext.workflow import DataConversionError, JsonDataConverter

CONVERTER = JsonDataConverter()
T = TypeVar('T')
MOMENT = datetime(2020, 1, 2)


class Item(BaseModel):
    name: str
    price: Decimal = Decimal('1.5')


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    when: datetime
    id: UUID
    price: Decimal
    pair: tuple[int, str]
    tags: set[str]


class Aliased(BaseModel):
    user_name: str = Field(alias='userName')


class Forbids(BaseModel):
    model_config = ConfigDict(extra='forbid')

    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Holds(BaseModel):
    model_config = ConfigDict(extra='forbid')

    parts: list[Forbids]
    by_name: dict[str, Forbids] = {}


class Cat(BaseModel):
    kind: Literal['cat'] = 'cat'
    lives: int = 9


class Dog(BaseModel):
    kind: Literal['dog'] = 'dog'
    lives: int = 1
    tricks: list[str] = []


class Box(BaseModel, Generic[T]):
    item: T


class Ids(pydantic.RootModel[list[int]]):
    pass


class Own(BaseModel):
    """One that overrides what it is made by."""

    x: int

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Any:
        return cls.model_construct(x=obj['x'] + 1)


class Short(BaseModel):
    text: str

    @field_validator('text')
    @classmethod
    def check(cls, value: str) -> str:
        if len(value) > 3:
            raise ValueError('too long')
        return value


@pydantic.dataclasses.dataclass
class Checked:
    x: int = Field(gt=0)


@attrs.define
class Point:
    x: int
    _y: Decimal = Decimal(0)
    inner: Optional[Point] = None
    made: int = attrs.field(init=False, default=5)


@attr.s
class Old:
    x = attr.ib(type=datetime)


STRICT = Strict(when=MOMENT, id=UUID(int=1), price=Decimal('1.10'), pair=(1, 'a'), tags={'x'})

VALUES = [
    (Item(name='tea'), Item),
    (STRICT, Strict),
    ([STRICT], list[Strict]),
    ({'a': STRICT}, dict[str, Strict]),
    ((STRICT, MOMENT), tuple[Strict, datetime]),
    ({'a': [None, STRICT]}, dict[str, list[Optional[Strict]]]),
    (Aliased(userName='Ada'), Aliased),
    ([Aliased(userName='Ada')], list[Aliased]),
    (Forbids(width=2), Forbids),
    (Holds(parts=[Forbids(width=2), Forbids(width=3)], by_name={'a': Forbids(width=4)}), Holds),
    ([Forbids(width=2)], list[Forbids]),
    (Dog(tricks=['sit']), Union[Cat, Dog]),
    ([Cat(), Dog()], list[Union[Cat, Dog]]),
    (Box[Item](item=Item(name='tea')), Box[Item]),
    (Ids([1, 2]), Ids),
    (Checked(x=1), Checked),
    (Point(1, Decimal(2), Point(3)), Point),
    ([Point(1)], list[Point]),
    (Old(MOMENT), Old),
]


@pytest.mark.parametrize(('value', 'target_type'), VALUES)
def test_a_value_comes_back_as_it_was(value: Any, target_type: Any) -> None:
    result = CONVERTER.deserialize(CONVERTER.serialize(value), target_type)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (Aliased(userName='Ada'), '{"userName": "Ada"}'),
        (Forbids(width=2), '{"width": 2, "area": 4}'),
        (Item(name='tea'), '{"name": "tea", "price": "1.5"}'),
        (Point(1, Decimal(2)), '{"x": 1, "_y": "2", "inner": null, "made": 5}'),
    ],
)
def test_the_form_that_goes_out(value: Any, text: str) -> None:
    assert CONVERTER.serialize(value) == text


def test_a_model_that_went_out_by_the_names_of_its_fields_is_read() -> None:
    if tuple(map(int, pydantic.VERSION.split('.')[:2])) < (2, 11):
        pytest.skip('this pydantic reads by one of both')
    text = '{"user_name": "Ada"}'
    assert CONVERTER.deserialize(text, Aliased) == Aliased(userName='Ada')
    assert CONVERTER.deserialize(f'[{text}]', list[Aliased]) == [Aliased(userName='Ada')]


def test_what_a_class_overrides_is_heeded() -> None:
    assert CONVERTER.deserialize('{"x": 1}', Own).x == 2
    assert CONVERTER.deserialize('[{"x": 1}]', list[Own])[0].x == 2


def test_secrets_stay_masked() -> None:
    class Login(BaseModel):
        password: SecretStr

    assert CONVERTER.serialize(Login(password=SecretStr('hush'))) == '{"password": "**********"}'
    with pytest.raises(TypeError, match='SecretStr is not JSON serializable'):
        CONVERTER.serialize(SecretStr('hush'))


def test_what_a_model_says_of_a_whole_payload_is_its_own_error() -> None:
    with pytest.raises(pydantic.ValidationError, match='too long'):
        CONVERTER.deserialize('{"text": "long"}', Short)
    with pytest.raises(pydantic.ValidationError, match='extra_forbidden'):
        CONVERTER.deserialize('{"width": 2, "area": 4, "other": 5}', Forbids)


def test_inside_a_payload_its_place_is_told() -> None:
    with pytest.raises(DataConversionError, match=r'(?s)at \[1\]: expected Short: .*too long') as caught:
        CONVERTER.deserialize('[{"text": "abc"}, {"text": "long"}]', list[Short])
    assert isinstance(caught.value.path, tuple)
    with pytest.raises(DataConversionError, match=r'at a: expected Item, got null'):
        CONVERTER.deserialize('{"a": null}', dict[str, Item])


def test_what_a_dataclass_became_makes_a_model() -> None:
    text = '[{"name": "tea", "price": "2", "__durabletask_autoobject__": true}]'
    assert CONVERTER.deserialize(text, list[Item]) == [Item(name='tea', price=Decimal(2))]


def test_neither_library_is_imported_unless_the_app_has() -> None:
    code = (
        'import sys, dataclasses, datetime\n'
        'from dapr.ext.workflow import JsonDataConverter\n'
        '@dataclasses.dataclass\n'
        'class A:\n'
        '    x: datetime.date\n'
        'c = JsonDataConverter()\n'
        'assert c.deserialize(c.serialize([A(datetime.date(2020, 1, 1))]), list[A])[0].x.year == 2020\n'
        "print([name for name in ('pydantic', 'attr', 'attrs') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == '[]\n', done.stderr
