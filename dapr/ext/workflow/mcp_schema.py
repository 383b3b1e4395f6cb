"""From the JSON schema of a tool's arguments to a pydantic model of them.

pydantic is asked for when a model is made, and not before: the extra `mcp` of this distribution installs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Optional, Union

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ['TYPE_MAPPING', 'create_pydantic_model_from_schema']

TYPE_MAPPING: Final[dict[str, type]] = {
    'string': str,
    'number': float,
    'integer': int,
    'boolean': bool,
    'object': dict,
    'array': list,
    'null': type(None),
}
"""The types that stand for those of JSON schema."""


def create_pydantic_model_from_schema(schema: dict[str, Any], model_name: str) -> type[BaseModel]:
    """Makes a pydantic model with a field for each property of a JSON schema.

    A property that is not required is None where it is left out, unless the schema gives a default. Objects within are
    dicts. References are followed within the schema (`#/...`). What the schema leaves open, as a property without a
    type, takes anything; what only the tool can check (lengths, patterns, formats) is left to it. A schema whose one
    property is the object `kwargs` stands for the properties of that, as some MCP servers write it.

    Args:
        schema: The schema, of type object, as in `MCPToolDef.input_schema`.
        model_name: The name of the model.

    Raises:
        ImportError: pydantic is not installed.
        ValueError: The schema is none that a model can be made of.
    """
    try:
        from pydantic import Field, create_model
    except ImportError as error:
        raise ImportError(
            'Models of MCP tools are made with pydantic, which is not installed: install it, or '
            'dapr-stateful-workflow[mcp], which brings it along.'
        ) from error

    if not isinstance(schema, Mapping):
        raise ValueError(f'Invalid schema: it is a {type(schema).__name__}, not a dict.')
    types = _Types(schema)
    described = _arguments(schema)
    properties = described.get('properties') or {}
    if not isinstance(properties, Mapping):
        raise ValueError(f'Invalid schema: its properties are a {type(properties).__name__}, not a dict.')
    required = set(described.get('required') or ())
    fields: dict[str, Any] = {}
    for name, prop in properties.items():
        kind = types.of(prop)
        prop = prop if isinstance(prop, Mapping) else {}
        description = prop.get('description') or ''
        if name in required:
            fields[name] = (kind, Field(description=description))
        else:
            fields[name] = (Optional[kind], Field(default=prop.get('default'), description=description))
    try:
        model: type[BaseModel] = create_model(model_name, **fields)
    except Exception as error:
        raise ValueError(f'Invalid schema: no model can be made of it: {error}') from error
    return model


def _arguments(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get('properties')
    if isinstance(properties, Mapping) and list(properties) == ['kwargs']:
        wrapped = properties['kwargs']
        if isinstance(wrapped, Mapping) and wrapped.get('type') == 'object' and 'properties' in wrapped:
            return wrapped
    return schema


class _Types:
    """The types for the parts of a schema.

    Args:
        root: The whole schema, which references begin at.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._being_followed: set[str] = set()

    def of(self, part: Any) -> Any:
        """The type of what a part describes; Any where it leaves that open."""
        if not isinstance(part, Mapping):
            return Any
        if '$ref' in part:
            return self._of_reference(part['$ref'])
        if 'const' in part:
            return _literal([part['const']])
        if 'enum' in part:
            return _literal(part['enum'])
        variants = part.get('anyOf') or part.get('oneOf')
        if variants:
            return _union(self.of(variant) for variant in variants)
        kinds = part.get('type')
        if isinstance(kinds, list):
            return _union(self.of({**part, 'type': kind}) for kind in kinds)
        if kinds == 'array' and part.get('items'):
            return list[self.of(part['items'])]  # type: ignore[misc]  # a type that is made here
        return TYPE_MAPPING.get(kinds, Any) if isinstance(kinds, str) else Any

    def _of_reference(self, reference: str) -> Any:
        if reference in self._being_followed:
            return Any
        self._being_followed.add(reference)
        try:
            return self.of(self._target_of(reference))
        finally:
            self._being_followed.remove(reference)

    def _target_of(self, reference: str) -> Any:
        start, _, path = reference.partition('#')
        target: Any = None if start else self._root
        for step in path.strip('/').split('/'):
            target = target.get(step) if isinstance(target, Mapping) else None
        if target is None:
            raise ValueError(f'Invalid schema: it has nothing at {reference!r}.')
        return target


def _union(kinds: Iterable[Any]) -> Any:
    members = tuple(kinds)
    return Union[members] if members else Any


def _literal(values: Iterable[Any]) -> Any:
    allowed = tuple(values)
    # A Literal holds none of the values that JSON has besides.
    is_literal = all(value is None or isinstance(value, str | int) for value in allowed)
    return Literal[allowed] if allowed and is_literal else Any
