"""Under which names workflows and activities are registered and called, and what is refused."""

from __future__ import annotations

import functools
import math
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


class Work:
    """Whose methods can be registered, for each object."""

    def run(self, ctx: Any, inp: Any) -> Any:
        return self, inp

    @classmethod
    def make(cls, ctx: Any, inp: Any) -> Any:
        return cls, inp


class MoreWork(Work):
    pass


class Slotted:
    """Takes no attributes, and cannot be referred to weakly."""

    __slots__ = ()

    def __call__(self, ctx: Any, inp: Any) -> Any:
        return inp


@pytest.mark.parametrize('kind', ['workflow', 'activity'])
class TestWhatIsTheSame:
    def test_methods_of_two_objects_are_two(self, runtime: WorkflowRuntime, kind: str) -> None:
        register = getattr(runtime, f'register_{kind}')
        first, second, inherited = Work(), Work(), MoreWork()
        register(first.run)
        register(second.run, name='second')
        register(inherited.run, name='inherited')
        register(Work.make)
        register(MoreWork.make, name='more')

        named = [first.run, second.run, inherited.run, Work.make, MoreWork.make, Work().run]
        assert [name_of(fn) for fn in named] == ['run', 'second', 'inherited', 'make', 'more', 'run']

    def test_a_method_of_one_object_is_one(self, runtime: WorkflowRuntime, kind: str) -> None:
        register, work = getattr(runtime, f'register_{kind}'), Work()
        register(work.run, name='given')

        with pytest.raises(ValueError, match=f'{kind.capitalize()} run already registered as given'):
            register(work.run)
        with pytest.raises(ValueError, match='already exists'):
            register(Work().run, name='given')

    @pytest.mark.parametrize('fn', [Slotted(), math.sqrt, 'a method'.join, functools.partial(new_function())])
    def test_what_takes_no_attributes_is_registered_all_the_same(
        self, runtime: WorkflowRuntime, kind: str, fn: Any
    ) -> None:
        getattr(runtime, f'register_{kind}')(fn, name='given')

        assert 'given' in TestWorkflowsAndActivitiesAlike().names(runtime, kind)
        with pytest.raises(ValueError, match='already registered as given'):
            getattr(runtime, f'register_{kind}')(fn, name='other')

    @pytest.mark.parametrize('fn', [Work, int, 5, 'name'])
    def test_classes_and_what_cannot_be_called_are_refused_and_leave_nothing(
        self, runtime: WorkflowRuntime, kind: str, fn: Any
    ) -> None:
        with pytest.raises(TypeError, match=f'cannot be registered as an? {kind}: give a function'):
            getattr(runtime, f'register_{kind}')(fn, name='given')

        assert TestWorkflowsAndActivitiesAlike().names(runtime, kind) == []
        getattr(runtime, f'register_{kind}')(new_function(), name='given')


def test_a_builtin_is_called_by_the_name_that_it_was_given(runtime: WorkflowRuntime) -> None:
    runtime.register_activity(math.hypot, name='length')

    assert name_of(math.hypot) == 'length'


def test_an_annotation_that_cannot_be_resolved_is_told_once_at_registration(
    runtime: WorkflowRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    def fn(ctx: Any, inp: NotThere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    caplog.set_level('WARNING')
    runtime.register_activity(fn)
    adapted = registry(runtime).activities['fn']

    assert adapted(None, 5) is None
    (record,) = caplog.records
    assert "Activity 'fn': an annotation cannot be resolved, that of its input, 'NotThere'" in record.getMessage()


def test_a_wrapper_that_says_it_wraps_itself_is_registered(runtime: WorkflowRuntime) -> None:
    def fn(*args: Any) -> Any:
        return args[1:]

    fn.__wrapped__ = fn  # type: ignore[attr-defined]
    runtime.register_activity(fn)
    runtime.register_workflow(fn)

    assert set(registry(runtime).activities) == set(registry(runtime).orchestrators) == {'fn'}
