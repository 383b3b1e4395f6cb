"""The sandbox modes of async workflows: what asks the machine for time or chance is answered by the workflow.

A mode is opt-in, for each workflow. Where one is first used, dispatchers take the places of functions in `random`,
`uuid`, `time`, `secrets`, `os` and `builtins`, of the constructor of sockets, and of two methods of `datetime`: in the
whole process, for good. A dispatcher looks who is calling. Inside a workflow of a mode, on the thread that runs it, it
answers for the workflow; everywhere else it calls what it has replaced. The engine, asyncio and logging are among the
latter, also where they run for a workflow.

- Both modes answer deterministically: chance by the workflow's own stream (`ctx.random()`), moments by its logical
  time, in UTC. They tell each such call of a workflow once (`NonDeterminismWarning`), unless
  `DAPR_WF_DISABLE_DETECTION` is set.
- 'strict' refuses what no answer can be given for, and `asyncio.create_task`, with `SandboxViolationError`. The run
  ends with that error, caught or not.
"""

from __future__ import annotations

import asyncio
import builtins
import ctypes
import datetime as datetimes
import functools
import gc
import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dapr.ext.workflow._durabletask.async_failures import NonDeterminismWarning, SandboxViolationError
from dapr.ext.workflow._durabletask.internal.timer import naive_utc

if TYPE_CHECKING:
    from dapr.ext.workflow._durabletask.replay.loop import WorkflowLoop

_DISABLE_DETECTION: Final = 'DAPR_WF_DISABLE_DETECTION'
_OFF: Final = ('', '0', 'false', 'no', 'off')

# Whoever is named so asks for itself, and not for the workflow that it runs for.
_OURSELVES: Final = ('dapr.ext.workflow.', 'asyncio.', 'logging.', 'warnings.', 'linecache.', 'traceback.')

_CHANCE: Final = (
    'betavariate',
    'choice',
    'choices',
    'expovariate',
    'gammavariate',
    'gauss',
    'getrandbits',
    'lognormvariate',
    'normalvariate',
    'paretovariate',
    'randbytes',
    'randint',
    'random',
    'randrange',
    'sample',
    'shuffle',
    'triangular',
    'uniform',
    'vonmisesvariate',
    'weibullvariate',
)
_IN_AN_ACTIVITY: Final = 'do it in an activity.'
_FROM_THE_CONTEXT: Final = 'use ctx.random(), ctx.random_string() or ctx.uuid4(), or do it in an activity.'
_REFUSED: Final[tuple[tuple[Any, str, str, str], ...]] = (
    (builtins, 'open', 'open', _IN_AN_ACTIVITY),
    (os, 'urandom', 'os.urandom', _FROM_THE_CONTEXT),
    *(
        (secrets, name, f'secrets.{name}', _FROM_THE_CONTEXT)
        for name in ('choice', 'randbelow', 'randbits', 'token_bytes', 'token_hex', 'token_urlsafe')
    ),
    (socket.socket, '__init__', 'socket.socket', _IN_AN_ACTIVITY),
)


class Sandbox:
    """The sandbox of one run.

    Args:
        loop: The workflow's event loop.
        is_strict: Whether its mode is 'strict'.

    Attributes:
        is_strict: Whether its mode is 'strict'.
    """

    __slots__ = ('_loop', '_told', 'is_strict')

    def __init__(self, loop: WorkflowLoop, is_strict: bool) -> None:
        self.is_strict = is_strict
        self._loop = loop
        self._told: set[str] = set()
        install()

    def random(self) -> random.Random:
        """The workflow's stream of chance."""
        return self._loop.context.random()

    def uuid4(self) -> uuid.UUID:
        """The workflow's next UUID."""
        return self._loop.context.new_guid()

    def now(self) -> datetimes.datetime:
        """The workflow's logical time (naive, UTC)."""
        return naive_utc(self._loop.context.current_utc_datetime)

    def answered(self, call: str, instead: str) -> None:
        """Tells, once in a run, that a call was answered for the machine."""
        if call in self._told or self._loop.context.is_replaying:
            return
        self._told.add(call)
        if os.environ.get(_DISABLE_DETECTION, '').strip().lower() in _OFF:
            warnings.warn(
                f"The workflow '{self._loop.context.workflow_name}' ({self._loop.context.instance_id}) called {call}, "
                f'which is another at each replay. The sandbox has answered it; {instead}',
                NonDeterminismWarning,
                stacklevel=3,
            )

    def refuse(self, call: str, instead: str) -> None:
        """Ends the run for a call, if the mode is strict.

        Raises:
            SandboxViolationError: It is.
        """
        if self.is_strict:
            error = SandboxViolationError(call, instead)
            self._loop.end(error)
            raise error


def current() -> Sandbox | None:
    """The sandbox that the code two calls above this one runs in; None outside of all."""
    loop: Any = asyncio._get_running_loop()
    sandbox: Sandbox | None = getattr(loop, 'sandbox', None)
    if sandbox is None:
        return None
    asking = str(sys._getframe(2).f_globals.get('__name__', '')) + '.'
    return None if asking.startswith(_OURSELVES) else sandbox


_lock = threading.Lock()
_is_installed = False


def install() -> None:
    """Puts the dispatchers in their places; once for a process."""
    global _is_installed
    with _lock:
        if _is_installed:
            return
        for name in _CHANCE:
            if hasattr(random, name):
                setattr(random, name, _chance(name, getattr(random, name)))
        uuid.uuid4 = _uuid4(uuid.uuid4)
        for name, a_second in (('time', 1), ('time_ns', 1_000_000_000)):
            setattr(time, name, _moment(name, getattr(time, name), a_second))
        for holder, attribute, call, instead in _REFUSED:
            setattr(holder, attribute, _refusing(getattr(holder, attribute), call, instead))
        _replace_methods_of_datetime()
        _is_installed = True


def _chance(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        sandbox = current()
        if sandbox is None:
            return original(*args, **kwargs)
        sandbox.answered(f'random.{name}', f'use ctx.random().{name}.')
        return getattr(sandbox.random(), name)(*args, **kwargs)

    return dispatch


def _uuid4(original: Callable[[], uuid.UUID]) -> Callable[[], uuid.UUID]:
    @functools.wraps(original)
    def dispatch() -> uuid.UUID:
        sandbox = current()
        if sandbox is None:
            return original()
        sandbox.answered('uuid.uuid4', 'use ctx.uuid4().')
        return sandbox.uuid4()

    return dispatch


def _moment(name: str, original: Callable[[], Any], a_second: int) -> Callable[[], Any]:
    @functools.wraps(original)
    def dispatch() -> Any:
        sandbox = current()
        if sandbox is None:
            return original()
        sandbox.answered(f'time.{name}', 'use ctx.now().')
        micros = (sandbox.now() - datetimes.datetime(1970, 1, 1)) // datetimes.timedelta(microseconds=1)
        return micros * a_second // 1_000_000 if a_second > 1 else micros / 1_000_000

    return dispatch


def _refusing(original: Callable[..., Any], call: str, instead: str) -> Callable[..., Any]:
    @functools.wraps(original)
    def dispatch(*args: Any, **kwargs: Any) -> Any:
        sandbox = current()
        if sandbox is not None:
            sandbox.refuse(call, instead)
        return original(*args, **kwargs)

    return dispatch


def _replace_methods_of_datetime() -> None:
    # A built-in type takes no attributes; whoever has imported it holds this very type, so none can take its place.
    # What its mappingproxy refers to is the type's own dict.
    (methods,) = gc.get_referents(datetimes.datetime.__dict__)
    original_now, original_utcnow = datetimes.datetime.now, datetimes.datetime.utcnow

    def now(cls: type[datetimes.datetime], tz: datetimes.tzinfo | None = None) -> datetimes.datetime:
        sandbox = current()
        if sandbox is None:
            return original_now(tz) if cls is datetimes.datetime else _of_class(cls, original_now(tz))
        sandbox.answered('datetime.now', 'use ctx.now().')
        moment = sandbox.now()
        return moment if tz is None else moment.replace(tzinfo=datetimes.timezone.utc).astimezone(tz)

    def utcnow(cls: type[datetimes.datetime]) -> datetimes.datetime:
        sandbox = current()
        if sandbox is None:
            return original_utcnow() if cls is datetimes.datetime else _of_class(cls, original_utcnow())
        sandbox.answered('datetime.utcnow', 'use ctx.now().')
        return sandbox.now()

    methods['now'], methods['utcnow'] = classmethod(now), classmethod(utcnow)
    # So that what was cached of the type is looked up anew.
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetimes.datetime))


def _of_class(cls: type[datetimes.datetime], moment: datetimes.datetime) -> datetimes.datetime:
    return cls(*moment.timetuple()[:6], moment.microsecond, tzinfo=moment.tzinfo, fold=moment.fold)
