"""Registering orchestrators and activities by name."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from dapr.ext.workflow._durabletask.replay.errors import VersionNotRegisteredException
from dapr.ext.workflow._durabletask.replay.registry import _Registry


def order(ctx: Any, _: Any) -> None: ...


def test_functions_are_found_by_their_names() -> None:
    registry = _Registry()
    assert registry.add_orchestrator(order) == 'order'
    assert registry.add_activity(order) == 'order'
    registry.add_named_orchestrator('a', order)
    registry.add_named_activity('b', order)
    assert registry.get_orchestrator('order') == (order, None)
    assert registry.get_orchestrator('a') == (order, None)
    assert registry.get_activity('order') is order
    assert registry.get_activity('b') is order


def test_what_is_not_there_is_none() -> None:
    registry = _Registry()
    assert registry.get_orchestrator('order') == (None, None)
    assert registry.get_activity('order') is None


def test_a_name_is_taken_once() -> None:
    registry = _Registry()
    registry.add_orchestrator(order)
    registry.add_activity(order)
    with pytest.raises(ValueError, match="A 'order' orchestrator already exists"):
        registry.add_named_orchestrator('order', order)
    with pytest.raises(ValueError, match="A 'order' activity already exists"):
        registry.add_named_activity('order', order)


def test_a_version_of_a_name_is_taken_once() -> None:
    registry = _Registry()
    registry.add_orchestrator(order, version_name='v1')
    registry.add_orchestrator(order, version_name='v2')
    with pytest.raises(ValueError, match=r"The version 'v1' of 'order' orchestrator already exists"):
        registry.add_orchestrator(order, version_name='v1')


def test_versions_are_looked_up_by_name_or_as_the_latest() -> None:
    def newer(ctx: Any, _: Any) -> None: ...

    registry = _Registry()
    registry.add_named_orchestrator('order', order, 'v1')
    registry.add_named_orchestrator('order', newer, 'v2', is_latest=True)
    assert registry.get_orchestrator('order') == (newer, 'v2')
    assert registry.get_orchestrator('order', 'v1') == (order, 'v1')
    with pytest.raises(VersionNotRegisteredException, match=r"'order'.*'v3'.*v1, v2"):
        registry.get_orchestrator('order', 'v3')


def test_a_function_and_a_name_are_needed() -> None:
    registry = _Registry()
    nothing: Any = None
    with pytest.raises(ValueError, match='argument is required'):
        registry.add_orchestrator(nothing)
    with pytest.raises(ValueError, match='argument is required'):
        registry.add_named_orchestrator('a', nothing)
    with pytest.raises(ValueError, match='argument is required'):
        registry.add_activity(nothing)
    with pytest.raises(ValueError, match='argument is required'):
        registry.add_named_activity('a', nothing)
    with pytest.raises(ValueError, match='A non-empty orchestrator name is required'):
        registry.add_named_orchestrator('', order)
    with pytest.raises(ValueError, match='A non-empty activity name is required'):
        registry.add_named_activity('', order)


@pytest.mark.parametrize('nameless', [lambda ctx, _: None, partial(order, None)])
def test_a_function_without_a_name_is_refused(nameless: Any) -> None:
    registry = _Registry()
    with pytest.raises(ValueError, match='Cannot infer a name'):
        registry.add_orchestrator(nameless)
    with pytest.raises(ValueError, match='Cannot infer a name'):
        registry.add_activity(nameless)
