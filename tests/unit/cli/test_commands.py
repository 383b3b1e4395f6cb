"""Commands, on an emulator with a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from dapr.ext.workflow._durabletask.client import TaskHubGrpcClient
from dapr.ext.workflow._durabletask.worker import TaskHubGrpcWorker
from dapr.ext.workflow.cli.commands import NO, NOT_FOUND, OK, REFUSED, USAGE
from dapr.ext.workflow.cli.main import main
from dapr.ext.workflow.emulator import Emulator

DEADLINE = 30.0


class Ran(NamedTuple):
    """What a command has come to."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]


def until(is_so: Callable[[], bool]) -> None:
    """Looks again until it is so: an emulator's turn is run by a worker, in its own time."""
    end = time.monotonic() + DEADLINE
    while not is_so():
        assert time.monotonic() < end, 'it has not come to pass'


def charge(ctx: Any, amount: int | None) -> int:
    return (amount or 0) * 2


def order(ctx: Any, amount: int) -> Any:
    charged = yield ctx.call_activity(charge, input=amount)
    approval = yield ctx.wait_for_external_event('Approval')
    return [charged, approval]


def parent(ctx: Any, _: Any) -> Any:
    return (yield ctx.call_sub_orchestrator(order, input=1, instance_id=ctx.instance_id + '-child'))


def failing(ctx: Any, _: Any) -> None:
    raise ValueError('on purpose') from KeyError('stock')


@pytest.fixture(scope='module')
def address() -> Iterator[str]:
    with Emulator() as emulator, TaskHubGrpcWorker(host_address=emulator.address) as worker:
        for workflow in (order, parent, failing):
            worker.add_orchestrator(workflow)
        worker.add_activity(charge)
        worker.start()
        yield emulator.address


@pytest.fixture
def cli(address: str, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    def run(*arguments: str) -> Ran:
        command, *rest = arguments
        capsys.readouterr()
        try:
            code = main([command, '--address', address, *rest])
        except SystemExit as end:  # argparse's
            code = int(str(end.code))
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    yield run
    run('purge', '--all', '--force', '--yes')


def test_a_workflow_is_run_shown_moved_on_and_its_result_is_written(cli: Cli) -> None:
    assert cli('run', 'order', '-i', 'o1', '-x', '21').out == 'o1\n'
    assert cli('raise-event', 'o1/approval', '-x', '{"by": "me"}').code == OK
    assert json.loads(cli('result', 'o1', '--wait').out) == [42, {'by': 'me'}]
    assert json.loads(cli('show', 'o1', '-o', 'json').out)['steps'][0]['name'] == 'charge'


def test_show_tells_what_is_waited_for(cli: Cli) -> None:
    cli('run', 'parent', '-i', 'p1')

    until(lambda: 'p1-child' in cli('list', '-o', 'ids').out)
    shown = cli('show', 'p1').out
    assert "child workflow 'order' p1-child" in shown
    assert 'RUNNING' in shown


def test_run_waits_for_the_end_and_says_what_it_was(cli: Cli) -> None:
    ran = cli('run', 'failing', '--wait')

    assert ran.code == NO
    assert 'FAILED' in ran.err
    assert "ValueError: on purpose, caused by KeyError: 'stock'" in ran.err


@pytest.mark.parametrize('command', [['run', 'order'], ['result', 'w']])
def test_a_wait_that_is_bounded_gives_up_and_says_what_it_waited_for(cli: Cli, command: list[str]) -> None:
    cli('run', 'order', '-i', 'w')
    gave_up = cli(*command, '--max-wait', '300ms')

    assert gave_up.code == REFUSED
    assert "event 'approval'" in gave_up.err.lower()


@pytest.mark.parametrize('given', ['0s', 'soon', '10'])
def test_the_bound_of_a_wait_is_a_duration(cli: Cli, given: str) -> None:
    assert 'is no duration like' in cli('result', 'w', '--max-wait', given).err


def test_list_gives_what_passes_the_filters_newest_first(cli: Cli) -> None:
    cli('run', 'order', '-i', 'a')
    cli('run', 'failing', '-i', 'b')
    cli('result', 'b', '--wait')

    assert set(cli('list', '-o', 'ids').out.split()) == {'a', 'b'}
    assert cli('ls', '-o', 'ids', '-n', '2').out.split() == ['b', 'a']
    assert cli('ls', '-o', 'ids', '-n', '1').out.split() == ['b']
    assert cli('list', '-s', 'failed', '-o', 'ids').out.split() == ['b']
    assert [row['name'] for row in json.loads(cli('list', '-w', 'order', '-o', 'json').out)] == ['order']
    heading, *rows = cli('list', '-m', '1h').out.splitlines()
    assert heading.split() == ['NAME', 'INSTANCE', 'ID', 'STATUS', 'AGE', 'LAST', 'UPDATE']
    assert [row.split()[:3] for row in rows] == [['failing', 'b', 'FAILED'], ['order', 'a', 'RUNNING']]
    assert 'ValueError: on purpose' in cli('list', '-o', 'wide').out


def test_history_has_a_row_for_each_event(cli: Cli) -> None:
    cli('run', 'order', '-i', 'h', '-x', '1')
    cli('raise-event', 'h/Approval')
    cli('result', 'h', '--wait')

    heading, *rows = cli('history', 'h').out.splitlines()
    assert heading.split() == ['TYPE', 'NAME', 'EVENTID', 'ELAPSED', 'STATUS', 'DETAILS']
    kinds = [row.split()[0] for row in rows]
    assert kinds[1] == 'ExecutionStarted'
    assert 'TaskScheduled' in kinds
    assert kinds[-1] == 'ExecutionCompleted'
    assert len(json.loads(cli('history', 'h', '-o', 'json').out)) == len(rows)


def test_an_input_is_shown_without_its_envelope_and_metadata_beside_it(cli: Cli, address: str) -> None:
    with TaskHubGrpcClient(host_address=address) as client:
        client.schedule_new_orchestration('order', input=2, instance_id='o-1', metadata={'tenant': 'acme'})
    until(lambda: 'TaskCompleted' in cli('history', 'o-1').out)

    shown = cli('show', 'o-1').out
    assert 'Input:     2\n' in shown
    assert 'Metadata:  {"tenant": "acme"}\n' in shown
    rows = [line.split(maxsplit=4) for line in cli('history', 'o-1', '-o', 'wide').out.splitlines()]
    assert [row[-1] for row in rows if row[0] == 'TaskScheduled'] == ['2 with metadata {"tenant": "acme"}']
    (listed,) = json.loads(cli('list', '-o', 'json').out)
    assert (listed['input'], listed['metadata']) == (2, {'tenant': 'acme'})


def test_tree_shows_children_below_their_parents(cli: Cli) -> None:
    cli('run', 'parent', '-i', 't')
    until(lambda: cli('tree', 't').out.count('RUNNING') == 2)

    top, below = cli('tree', 't').out.splitlines()
    assert top == 't  parent  RUNNING'
    assert below == '└─ t-child  order  RUNNING'


def test_an_instance_is_suspended_resumed_and_terminated(cli: Cli) -> None:
    cli('run', 'order', '-i', 's')
    cli('suspend', 's')
    until(lambda: json.loads(cli('show', 's', '-o', 'json').out)['status'] == 'SUSPENDED')
    cli('resume', 's')
    cli('terminate', 's', '-x', '"enough"')
    ran = cli('result', 's', '--wait')
    assert (ran.code, ran.out) == (NO, '"enough"\n')


def test_an_ended_instance_is_rerun_from_an_event(cli: Cli) -> None:
    cli('run', 'order', '-i', 'r', '-x', '1')
    cli('raise-event', 'r/Approval', '-x', '1')
    cli('result', 'r', '--wait')

    assert cli('rerun', 'r', '-e', '1', '--new-instance-id', 'r2', '-x', '5').out == 'r2\n'
    cli('raise-event', 'r2/Approval', '-x', '1')
    assert json.loads(cli('result', 'r2', '--wait').out) == [10, 1]


def test_purge_takes_ids_or_all_that_have_ended_and_asks_first(cli: Cli) -> None:
    cli('run', 'failing', '-i', 'x', '--wait')
    cli('run', 'failing', '-i', 'y', '--wait')
    cli('run', 'order', '-i', 'z')

    assert cli('purge', 'x').code == OK
    asked = cli('purge', '--all')
    assert asked.code == USAGE
    assert '--yes' in asked.err
    assert cli('purge', '--all', '--yes').err == '1 purged\n'
    assert cli('list', '-o', 'ids').out.split() == ['z']
    assert cli('purge', 'z').code == REFUSED
    assert cli('purge', 'z', '--force').code == OK


def test_what_is_not_there_is_told_and_has_a_code_of_its_own(cli: Cli) -> None:
    for arguments in (('show', 'none'), ('history', 'none'), ('tree', 'none'), ('result', 'none')):
        ran = cli(*arguments)
        assert ran.code == NOT_FOUND
        assert "'none'" in ran.err


def test_a_sidecar_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['list', '--address', '127.0.0.1:1']) == REFUSED
    assert '127.0.0.1:1' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        (('run', 'order', '-x', '{no json'), 'no JSON'),
        (('raise-event', 'no-slash'), 'ID/EVENT'),
        (('list', '-s', 'GONE'), 'RUNNING'),
        (('purge',), 'ids, or one of'),
        (('purge', 'x', '--all-filter-status', 'FAILED'), '--all'),
        (('list', '-m', 'yesterday'), '2h45m'),
    ],
)
def test_a_wrong_command_line_is_told_before_anything_is_done(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    ran = cli(*arguments)

    assert ran.code == USAGE
    assert says in ran.err


def test_a_watch_of_an_instance_ends_with_it(cli: Cli) -> None:
    cli('run', 'failing', '-i', 'w')
    ran = cli('watch', 'w', '--interval', '0.01')

    assert ran.code == NO
    assert 'ExecutionCompleted' in ran.out


def test_completion_is_made_for_the_whole_parser(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('shtab')
    assert main(['completion', 'bash']) == OK
    assert 'raise-event' in capsys.readouterr().out
