"""`replay` and `history export`: histories leave a sidecar as files, and today's code is tried on them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from dapr.ext.workflow import DaprWorkflowContext
from dapr.ext.workflow.cli.commands import NO, NOT_FOUND, OK, USAGE
from dapr.ext.workflow.cli.exporting import file_name
from dapr.ext.workflow.cli.main import main
from dapr.ext.workflow.testing import WorkflowEnvironment, WorkflowHistory
from dapr.ext.workflow.testing.finding import replayer_of

ORDER = Path(__file__).parent.parent / 'replayer' / 'order-17.json'

APP = """
from datetime import timedelta
from dapr.ext.workflow import DaprWorkflowContext, WorkflowRuntime
from dapr.ext.workflow.aio import AsyncWorkflowContext

runtime = WorkflowRuntime('localhost', 1)

@runtime.workflow
def {order}(ctx: DaprWorkflowContext, item: str):
    yield ctx.call_activity({activity!r}, input=item)

@runtime.versioned_workflow(name='shipping', version_name='v1', is_latest=True)
def shipping_v1(ctx, item):
    yield

async def reminder(ctx: 'AsyncWorkflowContext', item: str):
    pass

async def other(ctx: 'Unknown', item: str):
    pass

def child(ctx: DaprWorkflowContext):
    yield

both = [child, reminder]
named = {{'order': child}}
number = 5
"""

Cli = Callable[..., 'tuple[int, str, str]']


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as end:  # argparse's
            code = int(str(end.code))
        out, err = capsys.readouterr()
        return code, out, err

    return run


class App:
    """An app's module, in a folder that imports are looked for in."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = f'app_{folder.parent.name}_{folder.name}'.replace('-', '_')
        self._file = folder / f'{self.name}.py'
        self._patch = monkeypatch
        monkeypatch.syspath_prepend(folder)

    def write(self, activity: str = 'price', order: str = 'order') -> None:
        self._file.write_text(APP.format(activity=activity, order=order))
        self._patch.delitem(sys.modules, self.name, raising=False)


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    (tmp_path / 'app').mkdir()
    app = App(tmp_path / 'app', monkeypatch)
    app.write()
    yield app
    sys.modules.pop(app.name, None)


@pytest.fixture
def histories(tmp_path: Path) -> Path:
    """A folder with a history of `order`, up to its first call; and one of `ship` in a folder of its own."""
    history = WorkflowHistory.from_file(ORDER)
    folder = tmp_path / 'histories'
    (folder / 'ships').mkdir(parents=True)
    WorkflowHistory(history.events[:3]).to_file(folder / 'order-17.json')
    started = history.events[1]
    ship = type(started)()
    ship.CopyFrom(started)
    ship.executionStarted.name = 'ship'
    WorkflowHistory([ship], instance_id='ship-1').to_file(folder / 'ships' / 'ship-1.json')
    return folder


def test_histories_that_can_be_replayed(cli: Cli, app: App, histories: Path) -> None:
    code, out, err = cli('replay', str(histories / 'order-17.json'), '--workflows', app.name)
    assert code == OK
    assert [line.split() for line in out.splitlines()] == [
        ['RESULT', 'WORKFLOW', 'INSTANCE', 'ID', 'EVENTS', 'FILE'],
        ['ok', 'order', 'order-17', '3', str(histories / 'order-17.json')],
    ]
    assert err.startswith('1 histories: 1 replayed, in ')


def test_one_that_cannot_is_told_and_so_are_those_of_workflows_that_are_not_there(
    cli: Cli, app: App, histories: Path
) -> None:
    app.write(activity='cost')
    code, out, err = cli('replay', str(histories), '--workflows', app.name)
    assert code == NO
    assert "history: activity 'price' with input" in out
    assert "code:    activity 'cost' with input" in out
    assert f'{app.name}.py:10' in out
    assert "history: the workflow 'ship'" in out
    assert '2 histories: 2 cannot be replayed' in err


def test_unknown_workflows_can_be_passed_over(cli: Cli, app: App, histories: Path) -> None:
    code, out, _ = cli('replay', str(histories), '--workflows', app.name, '--skip-unknown', '-o', 'json')
    assert code == OK
    assert [(each['result'], each['workflow']) for each in json.loads(out)] == [('ok', 'order'), ('skipped', 'ship')]


def test_junit(cli: Cli, app: App, histories: Path, tmp_path: Path) -> None:
    app.write(activity='cost\x00')
    (histories / 'broken.json').write_text('{}')
    file = tmp_path / 'reports' / 'replay.xml'

    cli('replay', str(histories), '--workflows', app.name, '--skip-unknown', '--junit', str(file))

    (suite,) = ElementTree.parse(file).getroot()
    assert {name: suite.get(name) for name in ('tests', 'failures', 'errors', 'skipped')} == {
        'tests': '3',
        'failures': '1',
        'errors': '1',
        'skipped': '1',
    }
    broken, order, ship = suite
    assert (order.get('classname'), order.get('name')) == ('order', str(histories / 'order-17.json'))
    assert order[0].tag == 'failure'
    assert 'it leaves the history at event 3 of 3' in str(order[0].get('message'))
    assert "activity 'cost" in str(order[0].text)
    assert 'with "events"' in str(broken[0].get('message'))
    assert ship[0].tag == 'skipped'


def test_where_workflows_are(cli: Cli, app: App, histories: Path) -> None:
    order = str(histories / 'order-17.json')
    assert cli('replay', order, '--workflows', f'{app.name}:runtime')[0] == OK
    assert cli('replay', order, '--workflows', f'{app.name}:both', '--workflows', f'{app.name}:order')[0] == OK
    assert "activity 'price'" in cli('replay', order, '--workflows', f'{app.name}:named')[1]
    missing = cli('replay', order, '--workflows', f'{app.name}:both')[1]
    assert "'reminder'" in missing
    assert replayer_of([app.name]).workflow_names == {'order', 'shipping', 'reminder', 'child'}


def test_what_is_wrong_with_the_command_line(cli: Cli, app: App, histories: Path, tmp_path: Path) -> None:
    for arguments, told in (
        (['replay', str(histories)], '--workflows'),
        (['replay', str(histories), '--workflows', 'no_such_module'], "No module named 'no_such_module'"),
        (['replay', str(histories), '--workflows', f'{app.name}:nothing'], "no attribute 'nothing'"),
        (['replay', str(histories), '--workflows', f'{app.name}:number'], 'has no workflows'),
        (['replay', str(histories), '--workflows', 'json'], 'has no workflows'),
        (['replay', str(tmp_path / 'nowhere'), '--workflows', app.name], 'no file or folder'),
        (['replay', str(tmp_path / 'app'), '--workflows', app.name], 'no histories'),
    ):
        code, _, err = cli(*arguments)
        assert (code, told in err) == (USAGE, True), err


def test_the_folder_it_is_run_in_is_where_modules_are_looked_for(app: App, histories: Path, tmp_path: Path) -> None:
    arguments = ['replay', str(histories / 'order-17.json'), '--workflows', app.name]
    # As a console script is started: the current folder is not on the path.
    script = (
        'import sys; sys.path[:] = [path for path in sys.path if path]; '
        f'from dapr.ext.workflow.cli.main import main; sys.exit(main({arguments!r}))'
    )
    command = [sys.executable, '-c', script]
    ran = subprocess.run(command, cwd=tmp_path / 'app', capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr[:12]) == (OK, '1 histories:'), ran.stderr


# Exports


def waits(ctx: DaprWorkflowContext, word: str) -> Any:
    heard = yield ctx.wait_for_external_event('go')
    return f'{word} {heard}'


def ends(ctx: DaprWorkflowContext) -> int:
    return 5


@pytest.fixture(scope='module')
def env() -> Iterator[WorkflowEnvironment]:
    with WorkflowEnvironment.start_time_skipping() as env:
        env.runtime(workflows=[waits, ends]).start()
        for number in range(3):
            env.client.schedule_new_workflow(waits, input='heard', instance_id=f'wait/{number}')
            env.client.schedule_new_workflow(ends, instance_id=f'end-{number}')
            env.client.wait_for_workflow_start(f'wait/{number}')
            env.client.wait_for_workflow_completion(f'end-{number}')
            env.sleep(timedelta(seconds=1))
        yield env


def exported(cli: Cli, env: WorkflowEnvironment, folder: Path, *arguments: str) -> tuple[int, list[str]]:
    code, out, _ = cli('history', 'export', '--address', env.address_of(), '-o', str(folder), *arguments)
    return code, [Path(line).name for line in out.splitlines()]


def test_instances_by_id(cli: Cli, env: WorkflowEnvironment, tmp_path: Path) -> None:
    folder = tmp_path / 'new' / 'folder'
    assert exported(cli, env, folder, 'end-1', 'wait/1') == (OK, ['end-1.json', 'wait%2F1.json'])
    assert WorkflowHistory.from_file(folder / 'wait%2F1.json') == WorkflowHistory.fetch(env.client, 'wait/1')
    assert cli('replay', str(folder), '--workflows', __name__)[0] == OK


def test_the_newest_of_a_name_and_status(cli: Cli, env: WorkflowEnvironment, tmp_path: Path) -> None:
    assert exported(cli, env, tmp_path, '--filter-name', 'ends', '--limit', '2') == (OK, ['end-2.json', 'end-1.json'])
    assert exported(cli, env, tmp_path, '--filter-status', 'running', '-n', '1') == (OK, ['wait%2F2.json'])
    assert len(exported(cli, env, tmp_path)[1]) == 6
    assert exported(cli, env, tmp_path, '--filter-status', 'failed') == (NO, [])


def test_one_that_is_not_there_keeps_no_other_from_being_written(
    cli: Cli, env: WorkflowEnvironment, tmp_path: Path
) -> None:
    assert exported(cli, env, tmp_path, 'nobody', 'end-0') == (NOT_FOUND, ['end-0.json'])
    assert exported(cli, env, tmp_path, 'end-0', '--limit', '2')[0] == USAGE
    assert exported(cli, env, tmp_path, '--limit', '0')[0] == USAGE


def test_the_history_of_an_instance_is_still_shown(cli: Cli, env: WorkflowEnvironment) -> None:
    assert 'ExecutionStarted' in cli('history', 'end-0', '--address', env.address_of())[1]
    assert cli('history', '--address', env.address_of(), '--', 'export')[0] == NOT_FOUND


def test_names_of_files() -> None:
    assert file_name('order-17') == 'order-17.json'
    assert file_name('a/b\\c:d*ä') == 'a%2Fb%5Cc%3Ad%2A%C3%A4.json'
    assert file_name('..') == '%2E..json'
    assert len(file_name('x' * 500)) < 230
    assert file_name('x' * 500) != file_name('x' * 501)
