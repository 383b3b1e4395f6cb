"""What apps and packages import is there, with the parameters, defaults and kinds of tests/data/public-api.json."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from dapr.ext.workflow import WorkflowHistoryEventType
from dapr.ext.workflow.workflow_context import WorkflowContext

Json = dict[str, Any]

CONTRACT: Json = json.loads((Path(__file__).parents[2] / 'data' / 'public-api.json').read_text(encoding='utf-8'))

MODULES = [
    'workflow_runtime',
    'workflow_state',
    'dapr_workflow_client',
    'dapr_workflow_context',
    'workflow_context',
    'workflow_activity_context',
    'retry_policy',
    'propagation',
    'mcp',
    'mcp_schema',
    'util',
    'aio',
    'logger',
    'logger.logger',
    'logger.options',
]

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: 'positional',
    inspect.Parameter.POSITIONAL_OR_KEYWORD: 'positional',
    inspect.Parameter.KEYWORD_ONLY: 'keyword',
    inspect.Parameter.VAR_POSITIONAL: '*',
    inspect.Parameter.VAR_KEYWORD: '**',
}


def contract() -> Iterator[tuple[str, str, Json]]:
    for part in CONTRACT.values():
        for module, names in part.items():
            for name, entry in names.items():
                yield module, name, entry


def faults_of(path: str, found: Any, entry: Json) -> list[str]:
    """What is wrong with an object, by the contract's entry of it."""
    kind = entry['kind']
    if kind == 'enum':
        values = {member.name: member.value for member in found if isinstance(member, Enum)}
        return [
            f'{path}.{name}: {values.get(name)!r}, not {value!r}'
            for name, value in entry['values'].items()
            if values.get(name) != value
        ]
    if kind == 'function':
        return _faults_of_function(path, found, entry)
    faults = []
    if 'bases' in entry:
        ancestors = {base.__name__ for base in found.__mro__}
        faults += [f'{path} is no {base}' for base in entry['bases'] if base not in ancestors]
    # An exception without a constructor of its own takes what every exception takes.
    if 'init' in entry and (kind != 'exception' or inspect.isfunction(found.__init__)):
        faults += _faults_of_parameters(path, list(inspect.signature(found).parameters.values()), entry['init'])
    for name, member in entry.get('members', {}).items():
        faults += _faults_of_member(f'{path}.{name}', found, name, member)
    return faults


def _faults_of_member(path: str, owner: type, name: str, entry: Json | str) -> list[str]:
    member = inspect.getattr_static(owner, name, None)
    if member is None:
        return [f'{path} is missing']
    if isinstance(entry, str):
        return [] if isinstance(member, property) else [f'{path} is no property']
    if entry.get('decorator') == 'classmethod' and not isinstance(member, classmethod):
        return [f'{path} is no classmethod']
    return _faults_of_function(path, getattr(owner, name), entry, is_method=not isinstance(member, classmethod))


def _faults_of_function(path: str, found: Any, entry: Json, is_method: bool = False) -> list[str]:
    faults = []
    if inspect.iscoroutinefunction(found) != entry['async']:
        faults.append(f'{path} is {"not " if entry["async"] else ""}async')
    parameters = list(inspect.signature(found).parameters.values())
    return faults + _faults_of_parameters(path, parameters[1:] if is_method else parameters, entry['params'])


def _faults_of_parameters(path: str, found: list[inspect.Parameter], expected: list[list[Any]]) -> list[str]:
    # More parameters are welcome where no call of the contract's form can meet them: with defaults, and after.
    faults = []
    by_name = {_unmangled(parameter.name): parameter for parameter in found}
    names = [_unmangled(parameter.name) for parameter in found if _KINDS[parameter.kind] == 'positional']
    wanted = [name for name, kind, *_ in expected if kind == 'positional']
    if names[: len(wanted)] != wanted:
        faults.append(f'{path}: positional parameters {names}, not {wanted}')
    for name, kind, *default in expected:
        parameter = by_name.pop(name, None)
        if parameter is None:
            faults.append(f'{path}: no parameter {name}')
        elif _KINDS[parameter.kind] != kind:
            faults.append(f'{path}: {name} is {_KINDS[parameter.kind]}, not {kind}')
        elif kind in ('positional', 'keyword'):
            faults += _faults_of_default(f'{path}: {name}', parameter.default, default)
    faults += [
        f'{path}: the parameter {name} is required, and unknown to callers'
        for name, parameter in by_name.items()
        if parameter.default is parameter.empty and _KINDS[parameter.kind] in ('positional', 'keyword')
    ]
    return faults


def _faults_of_default(path: str, found: Any, expected: list[Any]) -> list[str]:
    if not expected:
        return []  # one that must be given there may have a default here: no call can tell
    if found is inspect.Parameter.empty:
        return [f'{path} has no default']
    if expected[0] in ('<unset>', '<factory>'):
        return [] if repr(found) == expected[0] else [f'{path} is {found!r} by default, not {expected[0]}']
    same = found == expected[0] and type(found) is type(expected[0])
    return [] if same else [f'{path} is {found!r} by default, not {expected[0]!r}']


def _unmangled(name: str) -> str:
    # Parameters with two underscores before them take on the name of their class.
    return '__' + name.split('__', 1)[1] if name.startswith('_') and '__' in name[1:] else name


@pytest.mark.own_mode  # a mode changes defaults
@pytest.mark.parametrize(
    ('module', 'name', 'entry'), [pytest.param(*item, id=f'{item[0]}.{item[1]}') for item in contract()]
)
def test_each_name_of_the_contract_is_there_with_its_parameters_and_defaults(
    module: str, name: str, entry: Json
) -> None:
    found = getattr(importlib.import_module(module), name, None)
    assert found is not None, f'{module}.{name} is missing'
    assert faults_of(f'{module}.{name}', found, entry) == []


@pytest.mark.parametrize('name', MODULES)
def test_the_modules_that_packages_import_are_there(name: str) -> None:
    assert importlib.import_module(f'dapr.ext.workflow.{name}')


@pytest.mark.parametrize(
    ('module', 'name'),
    [
        ('logger.options', 'LoggerOptions'),
        ('logger.logger', 'Logger'),
        ('_durabletask.aio', 'AsyncTaskHubGrpcClient'),
        ('_durabletask.internal.shared', 'SECURE_PROTOCOLS'),
        ('_durabletask.internal.shared', 'INSECURE_PROTOCOLS'),
    ],
)
def test_what_apps_import_from_further_places_is_there(module: str, name: str) -> None:
    assert hasattr(importlib.import_module(f'dapr.ext.workflow.{module}'), name)


def test_a_context_of_an_apps_own_needs_no_more_than_in_dapr_1_19() -> None:
    assert WorkflowContext.__abstractmethods__ == {
        *('call_activity', 'call_child_workflow', 'continue_as_new', 'create_timer', 'current_utc_datetime'),
        *('get_propagated_history', 'instance_id', 'is_replaying', 'set_custom_status', 'wait_for_external_event'),
    }


@pytest.mark.parametrize('value', ['of a newer sidecar', None])
def test_a_kind_of_event_that_is_not_known_is_one(value: object) -> None:
    assert WorkflowHistoryEventType(value) is WorkflowHistoryEventType.UNKNOWN


@pytest.mark.parametrize('module', ['dapr.ext.workflow', 'dapr.ext.workflow.aio', 'dapr.ext.workflow.logger'])
def test_all_names_of_the_contract_are_exported(module: str) -> None:
    assert set(CONTRACT['public'][module]) <= set(importlib.import_module(module).__all__)


def test_the_comparison_finds_what_is_wrong() -> None:
    class Wrong:
        def __init__(self, b: int = 0, *, a: bool = False, more: int) -> None: ...

        def call(self) -> None: ...

    entry = {
        'kind': 'class',
        'init': [['a', 'positional', False], ['b', 'keyword', False]],
        'members': {'call': {'async': True, 'params': []}, 'gone': 'property'},
    }

    assert faults_of('W', Wrong, entry) == [
        "W: positional parameters ['b'], not ['a']",
        'W: a is keyword, not positional',
        'W: b is positional, not keyword',
        'W: the parameter more is required, and unknown to callers',
        'W.call is not async',
        'W.gone is missing',
    ]
