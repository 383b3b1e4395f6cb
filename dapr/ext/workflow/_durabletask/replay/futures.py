"""What the event loop of an async workflow is made of: its futures, tasks and handles.

Futures and tasks are asyncio's own, with one thing changed: their hash is a number in the order in which they were
made. By default it follows from an object's address, and sets of tasks, which `TaskGroup`, `asyncio.wait` and others
keep, would be gone through in another order in each process, and with it in each replay. No part of it comes from the
instance: an instance that is run again under another id goes through its sets in the same order.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Generator
from types import CodeType
from typing import TYPE_CHECKING, Any, TypeVar

from dapr.ext.workflow._durabletask.async_failures import WorkflowTimeoutError
from dapr.ext.workflow._durabletask.task import Task

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop

T = TypeVar('T')

Callback = Callable[..., object]


class WorkflowFuture(asyncio.Future[T]):
    """A future of a workflow's loop; `WorkflowLoop.create_future` makes it."""

    __slots__ = ('_number',)

    _number: int

    def __hash__(self) -> int:
        return self._number

    def get_result(self) -> T:
        """The same as `result()`, by the name that the tasks of generators have for it."""
        return self.result()


class WorkflowTask(asyncio.Task[T]):
    """A task of a workflow's loop; `WorkflowLoop.create_task` makes it."""

    __slots__ = ('_number',)

    _number: int

    def __hash__(self) -> int:
        return self._number

    def get_result(self) -> T:
        """The same as `result()`, by the name that the tasks of generators have for it."""
        return self.result()


class CallFuture(WorkflowFuture[T]):
    """What a call on the context gives: ends when the engine's task does.

    It stands where a task's composite stands, so that the engine tells it. One that ends while nobody waits becomes an
    `UnseenCallFuture`, which takes note of whoever comes later: to take note of each await would cost each await.

    Attributes:
        origin: What was called; with what (a function, its name, or ''); the code that did it, and where in it (an
            offset in its bytecode).
        withdraw: Takes the wait for an event back (`EventFuture`). All have the slot, so that they can become unseen.
    """

    __slots__ = ('origin', 'withdraw')

    origin: tuple[str, Any, CodeType, int]
    withdraw: Callable[[], None]

    # For composites of the engine, which ask this of a task's parent: it never keeps a task from another.
    _is_complete = True

    @property
    def is_forgotten(self) -> bool:
        """Whether nobody has waited for it so far, nor has anyone taken it back."""
        return not (self.done() or self._callbacks)

    def describe(self) -> str:
        """The call, as messages show it."""
        method, target, _, _ = self.origin
        name = target if isinstance(target, str) else getattr(target, '__name__', repr(target))
        return f"{method}('{name}')" if name else method

    def on_child_completed(self, task: Task[Any]) -> None:
        """Takes over what the engine's task has ended with; without effect when it was cancelled before."""
        if self.done():
            return
        ready = self._loop._ready  # type: ignore[attr-defined]
        before = len(ready)
        error = task._exception
        if error is None:
            self.set_result(task._result)
        else:
            self.set_exception(error)
        if len(ready) == before:
            self.__class__ = UnseenCallFuture

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        if type(self) is CallFuture:  # one that can be cancelled for good, or has ended, stays what it is
            self.__class__ = LeftCallFuture
        return super().remove_done_callback(fn)


class LeftCallFuture(CallFuture[T]):
    """One that somebody has waited for and left, as `asyncio.wait` leaves those that are not first."""

    __slots__ = ()

    is_forgotten = False

    def on_child_completed(self, task: Task[Any]) -> None:
        super().on_child_completed(task)
        self.__class__ = LeftCallFuture


class UnseenCallFuture(CallFuture[T]):
    """One that has ended, and that nobody has asked for its result so far."""

    __slots__ = ()

    is_forgotten = True

    def __await__(self) -> Generator[Any, None, T]:
        self.__class__ = CallFuture  # type: ignore[assignment]
        return self.__await__()

    __iter__ = __await__

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: contextvars.Context | None = None) -> None:
        self.__class__ = CallFuture  # type: ignore[assignment]
        self.add_done_callback(fn, context=context)

    def result(self) -> T:
        self.__class__ = CallFuture  # type: ignore[assignment]
        return self.result()

    def exception(self) -> BaseException | None:
        self.__class__ = CallFuture  # type: ignore[assignment]
        return self.exception()


class EventFuture(CallFuture[T]):
    """The wait for an external event. Cancelling it withdraws the wait, so that it takes no event from a later one."""

    __slots__ = ()

    def cancel(self, msg: Any | None = None) -> bool:
        is_cancelled = super().cancel(msg)
        if is_cancelled:
            self.withdraw()
        return is_cancelled

    def on_child_completed(self, task: Task[Any]) -> None:
        if isinstance(task._exception, TimeoutError):
            task._exception = WorkflowTimeoutError(*task._exception.args)
        super().on_child_completed(task)


class WorkflowHandle(asyncio.Handle):
    """A callback that is to be run. Made for each step of each task, so nothing is set that is not used."""

    __slots__ = ()

    def __init__(self, callback: Callback, args: tuple[Any, ...], context: contextvars.Context) -> None:
        self._callback: Callback | None = callback
        self._args = args
        self._context = context

    def cancel(self) -> None:
        """Takes the callback back; without effect when it has run."""
        self._callback = None
        self._args = ()

    def cancelled(self) -> bool:
        """Whether the callback was taken back."""
        return self._callback is None

    def __repr__(self) -> str:
        return f'<{type(self).__name__} {"cancelled" if self._callback is None else self._callback!r}>'


class WorkflowTimerHandle(WorkflowHandle, asyncio.TimerHandle):
    """A callback that waits for a durable timer. When it is cancelled, the timer stays and means nothing.

    Attributes:
        timer_id: The id of the timer's action; 0 where there is none to wait for.
    """

    __slots__ = ('_loop_of_workflow', 'timer_id')

    timer_id: int

    # As in CallFuture.
    _is_complete = True

    def __init__(
        self,
        when: float,
        callback: Callback,
        args: tuple[Any, ...],
        context: contextvars.Context,
        loop: WorkflowLoop,
    ) -> None:
        super().__init__(callback, args, context)
        self._when = when
        self._loop_of_workflow = loop
        self.timer_id = 0

    def when(self) -> float:
        """When it is due, in seconds of `loop.time()`."""
        return self._when

    def cancel(self) -> None:
        """Takes the callback back; without effect when it has run."""
        super().cancel()
        timer_id, self.timer_id = self.timer_id, 0
        if timer_id:
            self._loop_of_workflow.forget_timer(timer_id, self)

    def on_child_completed(self, task: Task[Any]) -> None:
        """The timer has fired."""
        self.timer_id = 0
        self._loop_of_workflow.enqueue_due(self)

    # asyncio's own are ordered by their time and hash by it.
    __hash__ = object.__hash__
    __eq__ = object.__eq__
