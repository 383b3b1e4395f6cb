"""The pytest plugin, in projects of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow.testing import WorkflowEnvironment, WorkflowHistory

pytest_plugins = 'pytester'

APP = """
from datetime import timedelta

from dapr.ext.workflow import DaprWorkflowContext, WorkflowRuntime

runtime = WorkflowRuntime()

@runtime.activity
def price(ctx, article):
    return 99

@runtime.workflow
def order(ctx: DaprWorkflowContext, article: str):
    yield ctx.create_timer(timedelta(days=1))
    return (yield ctx.call_activity(price, input=article))
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Runs pytest in a process of its own, with the plugin as the installed package has it, and an app beside it."""
    pytester.makepyfile(app=APP)

    def run(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_subprocess('-p', 'no:cacheprovider', *arguments)

    return run


@pytest.fixture(scope='module')
def history() -> WorkflowHistory:
    """Of the app's workflow, as it is."""

    def price(ctx: Any, article: str) -> int:
        return 99

    def order(ctx: DaprWorkflowContext, article: str) -> Any:
        yield ctx.create_timer(timedelta(days=1))
        return (yield ctx.call_activity(price, input=article))

    with WorkflowEnvironment.start_time_skipping() as env, env.runtime(workflows=[order], activities=[price]):
        instance_id = env.client.schedule_new_workflow(order, input='a lamp')
        env.client.wait_for_workflow_completion(instance_id)
        return WorkflowHistory.fetch(env.client, instance_id)


def keep(history: WorkflowHistory, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        history.to_file(path)


def test_it_loads_nothing_until_it_is_used(run: Callable[..., pytest.RunResult], pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import sys

        def test_nothing_is_loaded(pytestconfig):
            assert pytestconfig.pluginmanager.has_plugin('dapr-workflow')
            loaded = ['grpc', 'google.protobuf', 'dapr.ext.workflow']
            assert [name for name in loaded if name in sys.modules] == []
    """)
    run().assert_outcomes(passed=1)


def test_its_fixtures_give_an_environment_and_a_replayer(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, history: WorkflowHistory
) -> None:
    keep(history, pytester.path / 'h.json')
    pytester.makepyfile("""
        from app import order, price
        from dapr.ext.workflow.testing import WorkflowHistory

        def test_runs(workflow_env):
            assert workflow_env.run(order, input='a lamp', activities=[price]) == 99

        def test_replays(workflow_replayer):
            workflow_replayer.register_workflow(order)
            assert workflow_replayer.replay_workflow(WorkflowHistory.from_file('h.json')).is_successful
    """)
    run().assert_outcomes(passed=2)


def test_each_history_in_a_folder_is_a_test(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, history: WorkflowHistory
) -> None:
    folder = pytester.path / 'data' / 'histories'
    keep(history, folder / 'a.json', folder / 'deep' / 'b.json', pytester.path / 'data' / 'other.json')
    pytester.makepyfile('def test_beside(): pass')
    result = run('--workflow-histories', 'data/histories', '--workflow-modules', 'app', '-v')
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ['*data/histories/a.json::replay PASSED*', '*data/histories/deep/b.json::replay PASSED*']
    )
    run().assert_outcomes(passed=1)  # without the option they are no tests


def test_a_history_that_changed_code_leaves_fails_and_says_where(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, history: WorkflowHistory
) -> None:
    keep(history, pytester.path / 'histories' / 'a.json')
    pytester.makepyfile(app=APP.replace('create_timer(timedelta(days=1))', "wait_for_external_event('go')"))
    result = run('--workflow-histories', 'histories', '--workflow-modules', 'app:runtime', '--junit-xml', 'out.xml')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "The code of the workflow 'order' cannot replay instance '*': it leaves the history at event *",
            '  history: a timer until *',
            "  code:    a wait for the external event 'go'",
            '  line:    *app.py:*',
        ]
    )
    result.stdout.no_fnmatch_line('*replayer.py*')
    suites = ElementTree.parse(pytester.path / 'out.xml').getroot()
    assert [case.get('name') for case in suites.iter('testcase')] == ['replay']


def test_a_file_that_is_no_history_fails_with_the_reason(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    (pytester.path / 'histories').mkdir()
    (pytester.path / 'histories' / 'a.json').write_text('{"no": "history"}')
    result = run('--workflow-histories', 'histories', '--workflow-modules', 'app')
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*a.json*'])
    result.stdout.no_fnmatch_line('*Traceback*')


def test_folders_and_modules_may_stand_in_the_ini_file(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester, history: WorkflowHistory
) -> None:
    keep(history, pytester.path / 'tests' / 'histories' / 'a.json')
    pytester.makeini("""
        [pytest]
        testpaths = tests
        workflow_histories = tests/histories
        workflow_modules = app
    """)
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--workflow-histories', 'nowhere'], '*--workflow-histories: there is no folder *nowhere*'),
        (['--workflow-histories', 'histories'], '*name their modules by --workflow-modules*'),
        (['--workflow-histories', 'histories', '--workflow-modules', 'nothing'], "*'nothing' cannot be imported*"),
    ],
)
def test_what_is_missing_is_told(
    run: Callable[..., pytest.RunResult],
    pytester: pytest.Pytester,
    history: WorkflowHistory,
    arguments: list[str],
    told: str,
) -> None:
    keep(history, pytester.path / 'histories' / 'a.json')
    result = run(*arguments)
    assert result.ret != 0
    output = result.stdout if 'nowhere' not in arguments else result.stderr
    output.fnmatch_lines([told])


def test_environments_replay_each_turn_where_the_option_says_so(
    run: Callable[..., pytest.RunResult], pytester: pytest.Pytester
) -> None:
    pytester.makepyfile("""
        import pytest
        from app import price
        from dapr.ext.workflow import DaprWorkflowContext
        from dapr.ext.workflow.testing import WorkflowEnvironment

        runs = []

        def counted(ctx: DaprWorkflowContext, article: str):
            runs.append(ctx.is_replaying)
            return (yield ctx.call_activity(price, input=article))

        def test_of_the_fixture(workflow_env):
            runs.clear()
            workflow_env.run(counted, input='a', activities=[price])
            assert runs == [False, True]

        @pytest.mark.parametrize(('always', 'expected'), [(None, [False, True]), (False, [False])])
        def test_of_another_environment(always, expected):
            runs.clear()
            with WorkflowEnvironment.start_time_skipping(always_replay=always) as env:
                env.run(counted, input='a', activities=[price])
            assert runs == expected
    """)
    run('--workflow-always-replay').assert_outcomes(passed=3)


def test_its_import_is_pytests_alone() -> None:
    code = (
        'import sys, pytest; before = set(sys.modules); import dapr.ext.workflow_pytest; '
        'print(sorted(set(sys.modules) - before))'
    )
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['dapr', 'dapr.ext', 'dapr.ext.workflow_pytest']"
