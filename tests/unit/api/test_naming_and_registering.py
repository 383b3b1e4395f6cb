"""Under which names workflows and activities are registered and called, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from dapr.ext.workflow import WorkflowRuntime, alternate_name
from dapr.ext.workflow.naming import name_of


def new_function(name: str = 'fn') -> Callable[..., Any]:
    def fn(ctx: Any, inp: Any) -> Any:
        return inp

    fn.__name__ = name
    return fn


@pytest.fixture
def runtime() -> WorkflowRuntime:
    return WorkflowRuntime(host='127.0.0.1', port='1')


def registry(runtime: WorkflowRuntime) -> Any:
    return runtime._registry


@pytest.mark.parametrize('kind', ['workflow', 'activity'])
class TestWorkflowsAndActivitiesAlike:
    def names(self, runtime: WorkflowRuntime, kind: str) -> list[str]:
        return list(registry(runtime).orchestrators if kind == 'workflow' else registry(runtime).activities)

    def test_a_function_goes_by_its_own_name(self, runtime: WorkflowRuntime, kind: str) -> None:
        getattr(runtime, f'register_{kind}')(new_function('own'))

        assert self.names(runtime, kind) == ['own']

    def test_a_given_name_is_also_what_calls_by_the_function_use(self, runtime: WorkflowRuntime, kind: str) -> None:
        fn = new_function()
        getattr(runtime, f'register_{kind}')(fn, name='given')

        assert self.names(runtime, kind) == ['given']
        assert name_of(fn) == 'given'

    def test_an_alternate_name_is_used(self, runtime: WorkflowRuntime, kind: str) -> None:
        getattr(runtime, f'register_{kind}')(alternate_name('alt')(new_function()))

        assert self.names(runtime, kind) == ['alt']

    @pytest.mark.parametrize('called', ['bare', 'called', 'named'])
    def test_decorators_register_and_give_the_function_back(
        self, runtime: WorkflowRuntime, kind: str, called: str
    ) -> None:
        fn, decorator = new_function('own'), getattr(runtime, kind)
        decorated = {
            'bare': lambda: decorator(fn),
            'called': lambda: decorator()(fn),
            'named': lambda: decorator(name='given')(fn),
        }[called]()

        assert decorated is fn
        assert self.names(runtime, kind) == ['given' if called == 'named' else 'own']

    def test_the_same_function_twice_is_refused(self, runtime: WorkflowRuntime, kind: str) -> None:
        fn = new_function()
        register = getattr(runtime, f'register_{kind}')
        register(fn)

        with pytest.raises(ValueError, match=f'{kind.capitalize()} fn already registered as fn'):
            register(fn, name='other')

    def test_another_function_of_that_name_is_refused_and_stays_free(self, runtime: WorkflowRuntime, kind: str) -> None:
        register = getattr(runtime, f'register_{kind}')
        register(new_function())
        second = new_function()

        with pytest.raises(ValueError, match=r"A 'fn' (orchestrator|activity) already exists"):
            register(second)
        register(second, name='free')

        assert self.names(runtime, kind) == ['fn', 'free']

    def test_a_name_beside_another_alternate_name_is_refused(self, runtime: WorkflowRuntime, kind: str) -> None:
        fn = alternate_name('alt')(new_function())

        with pytest.raises(ValueError, match='fn already has an alternate name alt'):
            getattr(runtime, f'register_{kind}')(fn, name='other')

    def test_one_function_can_be_both(self, runtime: WorkflowRuntime, kind: str) -> None:
        fn = new_function()
        runtime.register_workflow(fn)
        runtime.register_activity(fn)

        assert self.names(runtime, kind) == ['fn']

    def test_one_function_can_serve_two_runtimes(self, runtime: WorkflowRuntime, kind: str) -> None:
        fn, other = new_function(), WorkflowRuntime(host='127.0.0.1', port='1')
        getattr(runtime, f'register_{kind}')(fn)
        getattr(other, f'register_{kind}')(fn)

        assert self.names(runtime, kind) == self.names(other, kind) == ['fn']

    def test_what_has_no_name_needs_one(self, runtime: WorkflowRuntime, kind: str) -> None:
        register = getattr(runtime, f'register_{kind}')

        with pytest.raises(ValueError, match=r'name=\.\.\.'):
            register(functools.partial(new_function()))
        with pytest.raises(ValueError, match='function argument is required'):
            register(None)
        register(functools.partial(new_function()), name='given')

        assert self.names(runtime, kind) == ['given']


def test_the_activity_decorator_goes_through_the_method_that_instrumentation_replaces(
    runtime: WorkflowRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        WorkflowRuntime, 'register_activity', lambda self, fn, *, name=None: seen.append((fn.__name__, name))
    )

    runtime.activity(new_function('bare'))
    runtime.activity(name='given')(new_function('called'))

    assert seen == [('bare', None), ('called', 'given')]


def test_versions_go_by_one_name_and_the_latest_serves_new_instances(runtime: WorkflowRuntime) -> None:
    first, second = new_function('v1'), new_function('v2')
    runtime.versioned_workflow(name='w', is_latest=False)(first)
    runtime.versioned_workflow(second, name='w', version_name='second', is_latest=True)

    assert registry(runtime).get_orchestrator('w')[1] == 'second'
    assert registry(runtime).get_orchestrator('w', 'v1')[0].__wrapped__ is first
    assert name_of(first) == name_of(second) == 'w'


def test_a_version_that_is_there_and_an_empty_name_are_refused(runtime: WorkflowRuntime) -> None:
    runtime.register_versioned_workflow(new_function('v1'), name='w', is_latest=True)

    with pytest.raises(ValueError, match='already exists'):
        runtime.register_versioned_workflow(new_function('v1'), name='w', is_latest=True)
    with pytest.raises(ValueError, match='A non-empty orchestrator name is required'):
        runtime.register_versioned_workflow(new_function('v1'), name='', is_latest=True)


def test_a_function_has_one_alternate_name() -> None:
    fn = alternate_name()(new_function('own'))

    assert name_of(fn) == 'own'
    with pytest.raises(ValueError, match='Function own already has an alternate name own'):
        alternate_name('other')(fn)


def test_methods_take_names_too() -> None:
    class Activities:
        def work(self, ctx: Any) -> None: ...

    assert name_of(alternate_name('alt')(Activities().work)) == 'alt'
