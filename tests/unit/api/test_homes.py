"""Classes say that they are of the modules in which dapr 1.19.0 defines them (tests/data/class-homes.json): what is
pickled, documented or looked up by a class's module finds the one that it names."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pickle
from pathlib import Path

import pytest

from dapr.ext.workflow._durabletask import task

HOMES: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[2] / 'data' / 'class-homes.json').read_text(encoding='utf-8')
)


@pytest.mark.parametrize(('module', 'name'), [(module, name) for module, names in HOMES.items() for name in names])
def test_a_class_is_of_the_module_that_it_is_looked_up_in(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    assert (found.__module__, found.__qualname__) == (module, name)
    assert pickle.loads(pickle.dumps(found)) is found


def test_the_activity_context_is_in_the_source_that_packages_parse() -> None:
    tree = ast.parse(inspect.getsource(task))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == 'ActivityContext']
    members = {node.name for node in found.body if isinstance(node, ast.FunctionDef)}
    assert {'orchestration_id', 'task_id', 'task_execution_id', 'get_propagated_history'} <= members
