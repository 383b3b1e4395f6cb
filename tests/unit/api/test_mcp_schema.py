"""Models of the arguments of MCP tools, made from their JSON schemas."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from dapr.ext.workflow.mcp_schema import create_pydantic_model_from_schema


def model_of(properties: Any, *required: str, **more: Any) -> type[BaseModel]:
    schema = {'type': 'object', 'properties': properties, 'required': list(required), **more}
    return create_pydantic_model_from_schema(schema, 'Args')


def takes(model: type[BaseModel], **values: Any) -> bool:
    try:
        found = model(**values).model_dump(include=set(values))
    except ValidationError:
        return False
    assert found == values
    return True


def test_the_model_has_the_name_that_it_is_given() -> None:
    model = create_pydantic_model_from_schema({'type': 'object'}, 'WeatherArgs')

    assert issubclass(model, BaseModel)
    assert model.__name__ == 'WeatherArgs'


@pytest.mark.parametrize(
    ('part', 'good', 'bad'),
    [
        ({'type': 'string'}, ['x'], [1, None]),
        ({'type': 'integer'}, [1], ['x', 1.5, None]),
        ({'type': 'number'}, [1, 1.5], ['x', None]),
        ({'type': 'boolean'}, [True], ['x', None]),
        ({'type': 'null'}, [None], ['x']),
        ({'type': 'object'}, [{}, {'a': 1}], ['x']),
        ({'type': 'object', 'properties': {'a': {'type': 'integer'}}}, [{'a': 1}], [1]),
        ({'type': 'array'}, [[], [1, 'x']], ['x']),
        ({'type': 'array', 'items': {'type': 'string'}}, [['x']], [[1]]),
        ({'type': 'array', 'items': {'type': 'array', 'items': {'type': 'integer'}}}, [[[1]]], [['x']]),
        ({'type': ['string', 'null']}, ['x', None], [1]),
        ({'type': ['array', 'null'], 'items': {'type': 'string'}}, [['x'], None], [[1]]),
        ({'anyOf': [{'type': 'string'}, {'type': 'null'}]}, ['x', None], [1]),
        ({'oneOf': [{'type': 'integer'}, {'type': 'array', 'items': {'type': 'integer'}}]}, [1, [1]], ['x', ['x']]),
        ({'enum': ['celsius', 'kelvin']}, ['kelvin'], ['fahrenheit', None]),
        ({'type': 'string', 'enum': ['a', None]}, ['a', None], ['b']),
        ({'const': 5}, [5], [6]),
        ({'enum': [1.5, {'a': 1}]}, [1.5, 'no Literal holds these'], []),
    ],
)
def test_values_are_checked_by_the_type_of_their_property(part: Any, good: list[Any], bad: list[Any]) -> None:
    model = model_of({'it': part}, 'it')

    assert [value for value in good if not takes(model, it=value)] == []
    assert [value for value in bad if takes(model, it=value)] == []


@pytest.mark.parametrize('part', [{}, True, {'type': 'of the future'}, {'anyOf': []}, {'type': []}, {'type': None}])
def test_what_the_schema_leaves_open_takes_anything(part: Any) -> None:
    model = model_of({'it': part}, 'it')

    assert all(takes(model, it=value) for value in ['x', 1, None, [1], {'a': 1}])


def test_required_properties_must_be_given_and_others_are_none() -> None:
    model = model_of({'city': {'type': 'string'}, 'days': {'type': 'integer'}}, 'city')

    assert model(city='Oslo').model_dump() == {'city': 'Oslo', 'days': None}
    with pytest.raises(ValidationError, match='city'):
        model()


def test_a_default_of_the_schema_is_what_a_property_is_when_it_is_left_out() -> None:
    model = model_of({'days': {'type': 'integer', 'default': 3}, 'tags': {'type': 'array', 'default': []}})

    assert model().model_dump() == {'days': 3, 'tags': []}
    assert takes(model, days=None)


def test_descriptions_are_those_of_the_fields() -> None:
    fields = model_of(
        {'city': {'type': 'string', 'description': 'Which one'}, 'days': {'type': 'integer'}}
    ).model_fields

    assert (fields['city'].description, fields['days'].description) == ('Which one', '')


class TestReferences:
    DEFINITIONS = {
        'Place': {'type': 'object', 'properties': {'name': {'type': 'string'}}},
        'Unit': {'enum': ['c', 'k']},
        'Tree': {'type': 'array', 'items': {'$ref': '#/$defs/Tree'}},
    }

    def test_they_are_followed(self) -> None:
        model = model_of(
            {'place': {'$ref': '#/$defs/Place'}, 'units': {'type': 'array', 'items': {'$ref': '#/$defs/Unit'}}},
            **{'$defs': self.DEFINITIONS},
        )

        assert takes(model, place={'name': 'Oslo'}, units=['c'])
        assert not takes(model, place='Oslo')
        assert not takes(model, units=['f'])

    def test_one_to_itself_ends(self) -> None:
        model = model_of({'tree': {'$ref': '#/$defs/Tree'}}, **{'$defs': self.DEFINITIONS})

        assert takes(model, tree=[[], ['deep enough']])
        assert not takes(model, tree='x')

    @pytest.mark.parametrize('reference', ['#/$defs/Nothing', 'elsewhere.json#/$defs/Place'])
    def test_one_to_nothing_is_an_error(self, reference: str) -> None:
        with pytest.raises(ValueError, match='Invalid schema: it has nothing at'):
            model_of({'it': {'$ref': reference}}, **{'$defs': self.DEFINITIONS})


class TestKwargs:
    WRAPPED = {'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city']}

    def test_alone_it_stands_for_what_it_holds(self) -> None:
        model = model_of({'kwargs': self.WRAPPED})

        assert model(city='Oslo').model_dump() == {'city': 'Oslo'}
        with pytest.raises(ValidationError):
            model()

    @pytest.mark.parametrize(
        'properties',
        [
            {'kwargs': WRAPPED, 'more': {'type': 'string'}},
            {'kwargs': {'type': 'object'}},
            {'kwargs': {'type': 'string'}},
        ],
    )
    def test_otherwise_it_is_a_property_like_others(self, properties: Any) -> None:
        assert set(model_of(properties).model_fields) == set(properties)


@pytest.mark.parametrize('schema', [{}, {'type': 'object'}, {'properties': None, 'required': None}])
def test_no_properties_make_a_model_without_fields(schema: Any) -> None:
    assert create_pydantic_model_from_schema(schema, 'Args')().model_dump() == {}


@pytest.mark.parametrize('schema', [None, True, 'x', {'properties': ['a']}, {'properties': {'_hidden': {}}}])
def test_what_no_model_can_be_made_of_is_a_value_error(schema: Any) -> None:
    with pytest.raises(ValueError, match='Invalid schema'):
        create_pydantic_model_from_schema(schema, 'Args')


def test_without_pydantic_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'pydantic', None)

    with pytest.raises(ImportError, match=r'pydantic, which is not installed: .*dapr-stateful-workflow\[mcp\]'):
        create_pydantic_model_from_schema({'type': 'object'}, 'Args')
