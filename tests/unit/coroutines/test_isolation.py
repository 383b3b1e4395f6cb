"""A workflow's loop is nobody else's: not the thread's, not another workflow's, not the app's."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from dapr.ext.workflow._durabletask.replay.instance import WorkflowInstance
from dapr.ext.workflow._durabletask.replay.registry import _Registry
from tests.support.async_engine import Context, driver, running_instance, started
from tests.support.engine import execution_started, output, task_completed, timer_fired, workflow_started

variable: contextvars.ContextVar[str] = contextvars.ContextVar('variable', default='unset')


def test_the_thread_has_its_own_loop_and_hooks_before_and_after() -> None:
    hooks = sys.get_asyncgen_hooks()

    async def workflow(ctx: Context, _: None) -> None:
        await ctx.call_activity('a')

    async def app() -> bool:
        before = asyncio.get_running_loop()
        inside = sys.get_asyncgen_hooks()
        running = driver(workflow)
        running.start()
        assert (asyncio.get_running_loop(), sys.get_asyncgen_hooks()) == (before, inside)
        running.turn(task_completed(1))
        running_instance(running).close()
        return asyncio.get_running_loop() is before and sys.get_asyncgen_hooks() == inside

    assert asyncio.run(app())
    driver(workflow).start()
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == hooks


def test_a_workflows_tasks_are_not_the_apps() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        await asyncio.gather(*(asyncio.create_task(asyncio.sleep(n + 1)) for n in range(3)))

    running = driver(workflow)
    running.start()
    instance = running_instance(running)

    async def app() -> int:
        return len(asyncio.all_tasks())

    loop = instance.holdings()[0].gi_frame.f_locals['loop']  # type: ignore[attr-defined]
    assert len(loop.unfinished_tasks()) == 4
    assert asyncio.all_tasks(loop) == set()
    assert asyncio.run(app()) == 1


def test_a_turn_may_be_on_any_thread() -> None:
    threads = set()

    async def workflow(ctx: Context, _: None) -> list[str]:
        log = []
        lock = asyncio.Lock()
        for name in 'abcdef':
            async with lock:
                threads.add(threading.get_ident())
                log.append(await asyncio.wait_for(ctx.call_activity(name), 100))
        return log

    registry = _Registry()
    registry.add_orchestrator(async_orchestrator(workflow))
    instance = WorkflowInstance(registry, 'i')

    def turn(*events: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(instance.run, [workflow_started(), *events]).result()

    keep = [threading.Thread(target=lambda: None) for _ in range(2)]
    results = turn(execution_started('workflow'))
    for number in range(6):
        results = turn(task_completed(2 * number + 1, number))
    assert [action.completeWorkflow.result.value for action in results.actions] == ['[0, 1, 2, 3, 4, 5]']
    assert keep


def test_each_instance_has_context_variables_of_its_own() -> None:
    async def workflow(ctx: Context, name: str) -> list[str]:
        seen = [variable.get()]
        variable.set(name)
        seen.append(variable.get())

        async def child() -> None:
            seen.append(variable.get())
            variable.set('child')

        await asyncio.create_task(child())
        await ctx.call_activity('a')
        seen.append(variable.get())
        return seen

    one, other = driver(workflow, '"one"'), driver(workflow, '"other"')
    one.start()
    other.start()
    assert output(one.turn(task_completed(1))) == ['unset', 'one', 'one', 'one']
    assert output(other.turn(task_completed(1))) == ['unset', 'other', 'other', 'other']
    assert variable.get() == 'unset'


def test_sets_of_tasks_have_the_order_in_which_they_were_made() -> None:
    async def workflow(ctx: Context, _: None) -> list[str]:
        tasks = {asyncio.create_task(asyncio.sleep(0, n)) for n in reversed(range(50))}
        futures = {ctx.call_activity(str(n)) for n in range(50)}
        names = [task.get_name() for task in tasks]
        return [*names, *(future.describe() for future in futures)]  # type: ignore[attr-defined]

    expected = [*(f'Task-{n}' for n in range(2, 52)), *(f"call_activity('{n}')" for n in range(50))]
    assert sorted(output(started(workflow))) == sorted(expected)
    # Whatever the set's order is, it is the same in any process: `Driver` has had two, and this is what it was.
    assert output(started(workflow)) == output(started(workflow))


def test_the_others_go_on_at_full_speed_beside_workflows() -> None:
    """Threads, an app's own event loop and workflows, at once: none sees anything of another."""
    wrong: list[object] = []
    stop = threading.Event()

    async def workflow(ctx: Context, _: None) -> str:
        mine = asyncio.get_running_loop()
        for _number in range(50):
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            if asyncio.get_running_loop() is not mine:
                wrong.append('a workflow')
        return 'done'

    def thread() -> None:
        while not stop.is_set():
            if asyncio._get_running_loop() is not None:
                wrong.append('a thread')

    async def app() -> None:
        mine = asyncio.get_running_loop()
        while not stop.is_set():
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            if asyncio.get_running_loop() is not mine or len(asyncio.all_tasks()) > 3:
                wrong.append('the app')

    beside = [threading.Thread(target=thread), threading.Thread(target=asyncio.run, args=(app(),))]
    for one in beside:
        one.start()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(started, workflow) for _ in range(40)]
        ended = [output(result.result()) for result in results]
    stop.set()
    for one in beside:
        one.join(10)
    assert (ended, wrong) == (['done'] * 40, [])


def test_debug_mode_finds_nothing() -> None:
    code = """
import asyncio, sys, warnings
sys.path[:0] = sys.argv[1:]
from tests.support.async_engine import driver, running_instance
from tests.support.engine import output, task_completed, timer_fired
async def workflow(ctx, _):
    task = asyncio.create_task(asyncio.sleep(5))
    call = await ctx.call_activity('a')
    async def results():
        yield await ctx.call_activity('b')
    async for result in results():
        pass
    await task
    assert asyncio.get_running_loop().get_debug()
    return [call, result]
running = driver(workflow)
running.start(); running.turn(task_completed(1, 'A')); running.turn(task_completed(3, 'B'))
assert output(running.turn(timer_fired(2))) == ['A', 'B']
assert running_instance(running).close() is None
"""
    root = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, '-X', 'dev', '-W', 'error::RuntimeWarning', '-c', code, root],
        capture_output=True,
        text=True,
        timeout=60,
        env={'PYTHONASYNCIODEBUG': '1', 'PATH': ''},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_a_loop_that_fires_timers_keeps_nothing_of_them() -> None:
    async def workflow(ctx: Context, _: None) -> None:
        for _number in range(100):
            await asyncio.wait_for(ctx.call_activity('a'), 1000)

    running = driver(workflow)
    running.start()
    for number in range(40):
        running.turn(task_completed(2 * number + 1))
    context = running_instance(running).context
    assert len(context._unresolved) == 2
    running.turn(timer_fired(2))  # of a wait that is long over
    assert not running_instance(running).is_ended
