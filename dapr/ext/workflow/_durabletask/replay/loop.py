"""The event loop of an async workflow: asyncio as the workflow's code knows it, made of what its history holds.

Each async instance has one. It has no thread and no clock: it is run, on the thread of the turn, whenever the engine
has made something ready, until nothing is ready any more. Time is the workflow's logical time, a timer is a durable
timer, and what needs a thread or a socket is refused.

The order in which it runs callbacks is part of the contract, since running instances replay by it
(docs/design.md, "Async workflows"):
1. After each history event that ends something, callbacks run in the order in which they became ready. What they make
   ready runs after all that was ready before.
2. When nothing is ready, the conditions that are waited for (`wait_until`) are asked in the order in which the waits
   began; those that hold end, and it goes on with 1.
3. The run ends when the main task's end is told to the loop, as a callback in this order. What is ready then is not
   run.

What nobody awaits (an exception of a task or a call) does not fail the workflow: it is told, with the workflow's name.
When it would have to fail is the garbage collector's choice, and no replay could repeat it.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import sys
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime, timedelta
from types import FrameType
from typing import Any, Final, NoReturn, Protocol, TypeVar

from dapr.ext.workflow._durabletask.async_failures import AsyncWorkflowError, ContinuedAsNew
from dapr.ext.workflow._durabletask.internal.timer import naive_utc
from dapr.ext.workflow._durabletask.replay.context import _RuntimeOrchestrationContext
from dapr.ext.workflow._durabletask.replay.futures import (
    Callback,
    CallFuture,
    WorkflowFuture,
    WorkflowHandle,
    WorkflowTask,
    WorkflowTimerHandle,
)
from dapr.ext.workflow._durabletask.replay.refusals import RefusingLoop
from dapr.ext.workflow._durabletask.task import Task

T = TypeVar('T')

_EPOCH = datetime(1970, 1, 1)
_HAS_TASK_CONTEXT = sys.version_info >= (3, 11)
_KEPT_ENDED = 16
_LONG_AGO: Final = -math.inf

# As asyncio's own loops do it: the flag of development mode, or the variable.
_DEBUG = sys.flags.dev_mode or (not sys.flags.ignore_environment and bool(os.environ.get('PYTHONASYNCIODEBUG')))

# How often what is left is cancelled again when the loop is closed, and how many callbacks run each time: code that
# takes no notice of it is dropped.
_CLOSE_ROUNDS = 10
_CLOSE_STEPS = 1_000

# Where asyncio makes tasks of coroutines that it was given; and from where it does so by way of a set ('__init__' is
# that of the iterator that `as_completed` gives from Python 3.13 on).
_ENSURE_FUTURE: Final = frozenset(
    getattr(asyncio.tasks, name).__code__
    for name in ('ensure_future', '_ensure_future')
    if hasattr(asyncio.tasks, name)
)
_CREATE_TASK: Final = asyncio.create_task.__code__
_THROUGH_A_SET: Final = frozenset({'as_completed', 'wait', '__init__'})


class Guard(Protocol):
    """What a loop asks about a call; `aio.sandbox.Sandbox` is one."""

    def refuse(self, call: str, instead: str) -> None: ...


class Readiness(Task[None]):
    """Whether a loop has something to run, as a task that has ended."""

    __slots__ = ('_is_complete',)

    _result = None

    def __init__(self) -> None:
        self._is_complete = False


class WorkflowLoop(RefusingLoop):
    """One workflow's event loop. Used by one thread at a time, by another one at each turn if it comes to that.

    Args:
        context: Where timers are made and what logical time is read from.

    Attributes:
        readiness: Has ended whenever there is something to run: what the engine waits for.
        count: How many futures and tasks it has made.
        calls: The futures of the calls of the workflow, for what is told at its end.
        keep_calls: How many of them there are at most before they are pruned.
        is_ending: Whether the run is over: the main task has ended, or something has ended it.
        refusal: What ended it, when it called what has no place in a workflow.
        sandbox: What answers or refuses calls that are not the loop's, in a sandbox mode; None: no one does.
    """

    __slots__ = (
        '_conditions',
        '_context',
        '_is_closed',
        '_is_debug',
        '_keep_tasks',
        '_least_time',
        '_opened_generators',
        '_ordered',
        '_ready',
        '_tasks',
        'calls',
        'count',
        'is_ending',
        'keep_calls',
        'readiness',
        'refusal',
        'sandbox',
    )

    def __init__(self, context: _RuntimeOrchestrationContext) -> None:
        self._context = context
        self.count = 0
        self._ready: list[WorkflowHandle] = []
        # Strong, unlike asyncio's own: what ends, and when, must not depend on the garbage collector. Those that have
        # ended are dropped now and then, so that each costs the same.
        self._tasks: list[WorkflowTask[Any]] = []
        self._keep_tasks = self.keep_calls = _KEPT_ENDED
        self._conditions: list[tuple[Callable[[], Any], WorkflowFuture[None]]] | None = None
        self._opened_generators: list[AsyncGenerator[Any, Any]] | None = None
        self._ordered: dict[int, WorkflowTask[Any]] | None = None
        self._is_debug = _DEBUG
        self._is_closed = False
        # Who looks at the time in a callback (anyio does) must find that it has come: the sidecar's clock may be
        # behind, and seconds are rounded to what a float holds.
        self._least_time = _LONG_AGO
        self.readiness = Readiness()
        self.calls: list[CallFuture[Any]] = []
        self.is_ending = False
        self.refusal: BaseException | None = None
        self.sandbox: Guard | None = None

    @property
    def context(self) -> _RuntimeOrchestrationContext:
        """Where timers are made and what logical time is read from."""
        return self._context

    # What the program does with it

    def run_until_idle(self) -> None:
        """Runs what is ready, and what becomes so by that, until there is nothing, or the run has ended.

        Call it with this loop as the thread's running one (see `entered`).
        """
        while not self.is_ending:
            ready = self._ready
            if ready:
                self._ready = []
                self._run(ready)
            elif not (self._conditions and self._end_conditions()):
                break
        self.readiness._is_complete = False

    def _run(self, ready: list[WorkflowHandle]) -> None:
        left = iter(ready)
        for handle in left:
            callback = handle._callback
            if callback is None:
                continue
            try:
                handle._context.run(callback, *handle._args)
            except (SystemExit, KeyboardInterrupt) as error:  # out of a task, which asyncio lets through
                self.end(error)
            except BaseException as error:
                self.call_exception_handler({'message': f'Exception in {handle!r}', 'exception': error})
            if self.is_ending:
                self._ready = [*left, *self._ready]
                return

    def end(self, refusal: BaseException | None = None) -> None:
        """Ends the run after the callback that is running now."""
        self.is_ending = True
        if self.refusal is None:
            self.refusal = refusal

    def main_has_ended(self, main: WorkflowTask[Any]) -> None:
        """Ends the run, as a callback of its main task."""
        self.end()

    def rest(self) -> None:
        """Lets go of what a workflow that waits has no use for: the calls that it has seen the end of, where there are
        few; those of many are dropped as more are made."""
        if len(self.calls) <= _KEPT_ENDED:
            self.prune_calls()

    def wait_until(self, predicate: Callable[[], Any]) -> WorkflowFuture[None]:
        """A future that ends when a condition holds; it is asked whenever nothing else is ready."""
        future: WorkflowFuture[None] = self.create_future()
        if self._conditions is None:
            self._conditions = []
        self._conditions.append((predicate, future))
        return future

    def _end_conditions(self) -> bool:
        is_any_ended = False
        waiting = []
        for predicate, future in self._conditions or ():
            if future.done():
                continue
            try:
                holds = predicate()
            except Exception as error:
                future.set_exception(error)
                is_any_ended = True
            else:
                if holds:
                    future.set_result(None)
                    is_any_ended = True
                else:
                    waiting.append((predicate, future))
        self._conditions = waiting or None
        return is_any_ended

    def tell_unawaited(self) -> None:
        """Tells what nobody has awaited: failures of tasks and calls, and calls that were forgotten."""
        for task in self._tasks:
            if task.done() and task._log_traceback:
                task._log_traceback = False
                error = task.exception()
                if not isinstance(error, ContinuedAsNew):
                    self._context.note(
                        f"{self._workflow}: the task '{task.get_name()}' has failed with "
                        f'{type(error).__name__}: {error}, and nobody has awaited it.'
                    )
        for call in self.calls:
            if call.is_forgotten:
                _, _, code, instruction = call.origin
                how = ''
                if call.done() and call._log_traceback:
                    call._log_traceback = False
                    error = call.exception()
                    how = f' It has failed with {type(error).__name__}: {error}.'
                elif not call.done():
                    how = ' It had not ended when the workflow did.'
                self._context.note(
                    f'{self._workflow}: {call.describe()} was never awaited ({code.co_filename}:'
                    f'{_line_of(code, instruction)}).{how}'
                )

    def unfinished_tasks(self) -> list[WorkflowTask[Any]]:
        """The tasks that have not ended, in the order in which they were made."""
        return [task for task in self._tasks if not task.done()]

    @property
    def _workflow(self) -> str:
        return f"the workflow '{self._context._workflow_name}'"

    def opened(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Takes note of an async generator that begins: left unfinished, it is closed when the run ends, and not when
        the garbage collector finds it."""
        opened = self._opened_generators
        if opened is None:
            opened = []
        elif len(opened) >= _KEPT_ENDED:
            opened = [other for other in opened if other.ag_frame is not None]  # type: ignore[attr-defined]
        opened.append(generator)
        self._opened_generators = opened

    def shut_down(self) -> None:
        """Cancels everything and closes it, in a bounded number of steps.

        Raises:
            AsyncWorkflowError: Something took no notice, and was dropped.
        """
        self.is_ending = False
        self._conditions = None
        dropped: list[str] = []
        self._cancel_all()
        generators, self._opened_generators = self._opened_generators, None
        for generator in reversed(generators or ()):
            if generator.ag_frame is not None and not generator.ag_running:
                self.create_task(_closed(generator))
        self._run_at_most(_CLOSE_STEPS)
        self._cancel_all()
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                dropped.append(task.get_name())
                try:
                    task.get_coro().close()
                except BaseException:  # it is dropped, whatever it says to that
                    continue
            elif task._log_traceback:
                task._log_traceback = False
        for call in self.calls:
            call._log_traceback = False
        self._ready, self._tasks, self.calls = [], [], []
        self._is_closed = True
        if dropped:
            raise AsyncWorkflowError(
                f'{", ".join(dropped)} took no notice of being cancelled {_CLOSE_ROUNDS} times, and was dropped'
            )

    def _cancel_all(self) -> None:
        for _ in range(_CLOSE_ROUNDS):
            left = self.unfinished_tasks()
            if not left:
                break
            for task in left:
                task.cancel()
            self._run_at_most(_CLOSE_STEPS + 10 * len(left))

    def _run_at_most(self, steps: int) -> None:
        while self._ready and steps > 0:
            ready, self._ready = self._ready[:steps], self._ready[steps:]
            steps -= len(ready)
            self.is_ending = False
            self._run(ready)
        self.is_ending = False

    # What asyncio asks of a loop

    def call_soon(  # type: ignore[override]
        self, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> WorkflowHandle:
        handle = WorkflowHandle(callback, args, contextvars.copy_context() if context is None else context)
        self._ready.append(handle)
        self.readiness._is_complete = True
        return handle

    def enqueue(self, handle: WorkflowHandle) -> None:
        """Makes a callback ready."""
        self._ready.append(handle)
        self.readiness._is_complete = True

    def enqueue_due(self, handle: WorkflowTimerHandle) -> None:
        """Makes a callback ready whose time has come."""
        self._least_time = max(self._least_time, handle._when)
        self.enqueue(handle)

    def forget_timer(self, timer_id: int, handle: WorkflowTimerHandle) -> None:
        """Has the engine forget a timer whose callback was taken back; it fires all the same."""
        self._context.forget_timer(timer_id, handle)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> WorkflowTimerHandle:
        return self._call_at(self.time() + delay, _seconds(delay), None, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callback, *args: Any, context: contextvars.Context | None = None
    ) -> WorkflowTimerHandle:
        return self._call_at(when, None, when, callback, args, context)

    def _call_at(
        self,
        when: float,
        delay: timedelta | None,
        moment: float | None,
        callback: Callback,
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> WorkflowTimerHandle:
        handle = WorkflowTimerHandle(when, callback, args, context or contextvars.copy_context(), self)
        now = naive_utc(self._context.current_utc_datetime)
        if math.isinf(when) and when > 0:
            return handle  # it never comes
        try:
            fire_at = now + delay if delay is not None else _EPOCH + _seconds(moment or 0.0)
        except OverflowError:
            fire_at = datetime.max if when > 0 else datetime.min
        if fire_at <= now:
            self.enqueue_due(handle)
        else:
            timer = self._context.create_timer(fire_at)
            timer._parent = handle
            handle.timer_id = self._context._sequence_number
        return handle

    def time(self) -> float:
        """The workflow's logical time, in seconds since 1970; never before the time of a callback that was due."""
        return max(self._least_time, self.seconds_at(self._context.current_utc_datetime))

    @staticmethod
    def seconds_at(moment: datetime) -> float:
        """A moment (without a time zone: UTC) as `time()` gives it."""
        return (naive_utc(moment) - _EPOCH).total_seconds()

    def create_future(self) -> WorkflowFuture[Any]:
        future: WorkflowFuture[Any] = WorkflowFuture(loop=self)
        future._number = self.count = self.count + 1
        return future

    def prune_calls(self) -> list[CallFuture[Any]]:
        """Drops the calls that nothing is to be told of; gives what is left."""
        self.calls = [call for call in self.calls if call.is_forgotten]
        self.keep_calls = max(_KEPT_ENDED, 2 * len(self.calls))
        return self.calls

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> WorkflowTask[T]:
        if self.sandbox is not None and sys._getframe(1).f_code is _CREATE_TASK:
            try:
                self.sandbox.refuse('asyncio.create_task', 'use ctx.gather, ctx.when_all or ctx.when_any.')
            except BaseException:
                coro.close()
                raise
        if sys._getframe(1).f_code in _ENSURE_FUTURE:
            task = self._ordered_task(sys._getframe(1).f_back, coro)
            return self._new_task(coro, None, None) if task is None else task
        return self._new_task(coro, name, context)

    def _new_task(
        self, coro: Coroutine[Any, Any, T], name: object, context: contextvars.Context | None
    ) -> WorkflowTask[T]:
        number = self.count = self.count + 1
        named = f'Task-{number}' if name is None else str(name)
        task: WorkflowTask[T]
        # The number is needed at once: asyncio registers a task where it is made.
        task = WorkflowTask.__new__(WorkflowTask)
        task._number = number
        if _HAS_TASK_CONTEXT:
            task.__init__(coro, loop=self, name=named, context=context)  # type: ignore[misc]
        else:
            task.__init__(coro, loop=self, name=named)  # type: ignore[misc]
        # The app's own `asyncio.all_tasks()` goes through all that are registered, of every loop.
        asyncio._unregister_task(task)
        tasks = self._tasks
        if len(tasks) >= self._keep_tasks:
            tasks = [other for other in tasks if not other.done() or other._log_traceback]
            self._keep_tasks = max(_KEPT_ENDED, 2 * len(tasks))
            self._tasks = tasks
        tasks.append(task)
        return task

    def _ordered_task(self, frame: FrameType | None, coro: Coroutine[Any, Any, T]) -> WorkflowTask[T] | None:
        """The task of a coroutine that goes through a set, as in `as_completed`, whose order is that of addresses:
        another one in each replay. So all tasks are made with the first, in the order in which they were given.

        Returns:
            None for a coroutine that goes through no set.
        """
        while frame is not None and frame.f_globals is asyncio.tasks.__dict__:
            if frame.f_code.co_name in _THROUGH_A_SET:
                given = frame.f_locals.get('fs') or frame.f_locals.get('aws')
                if not isinstance(given, (list, tuple)):
                    coro.close()
                    self.refuse(
                        f'asyncio.{frame.f_code.co_name.replace("__init__", "as_completed")}',
                        'goes through coroutines in another order at each replay, unless they come in a list. Give it '
                        'a list, or tasks: asyncio.create_task(...) each.',
                    )
                ordered = self._ordered = self._ordered or {}
                if id(coro) not in ordered:
                    for other in given:
                        if asyncio.iscoroutine(other):
                            ordered[id(other)] = self._new_task(other, None, None)
                return ordered.pop(id(coro))
            frame = frame.f_back
        return None

    def is_running(self) -> bool:
        return asyncio._get_running_loop() is self

    def is_closed(self) -> bool:
        return self._is_closed

    def get_debug(self) -> bool:
        return self._is_debug

    def set_debug(self, enabled: bool) -> None:
        self._is_debug = enabled

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tells what nobody has handled. It may come from the garbage collector, on any thread."""
        error = context.get('exception')
        what = '' if error is None else f' ({"".join(traceback.format_exception_only(type(error), error)).strip()})'
        self._context.note(f'{self._workflow}: {context.get("message")}{what}')

    def refuse(self, call: str, why: str) -> NoReturn:
        """Fails the workflow for a call that has no place in it.

        Raises:
            AsyncWorkflowError: Always. The run ends with it after the step that is running now, caught or not.
        """
        error = AsyncWorkflowError(f'{call} {why}')
        self.end(error)
        raise error


def _seconds(value: float) -> timedelta:
    """Raises ValueError for what is no number."""
    try:
        return timedelta(seconds=value)
    except OverflowError:
        return timedelta.max if value > 0 else timedelta.min


async def _closed(generator: AsyncGenerator[Any, Any]) -> None:
    await generator.aclose()


def _line_of(code: Any, instruction: int) -> int:
    line: int = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return line
