"""What of asyncio has no place in a workflow, as no replay could do it again: threads, sockets, signals, and more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, NoReturn

__all__ = ['RefusingLoop']

_CALLS: Final = {
    'run_in_executor': 'asyncio.to_thread (loop.run_in_executor)',
    'call_soon_threadsafe': 'loop.call_soon_threadsafe, by which other threads reach a loop,',
}


class RefusingLoop(asyncio.AbstractEventLoop):
    """An event loop that refuses all that asyncio asks of one, whatever later versions of asyncio add to it. What a
    workflow may do is written over it."""

    __slots__ = ()

    def refuse(self, call: str, why: str) -> NoReturn:
        """Fails the workflow for a call that has no place in it."""
        raise NotImplementedError


def _refusing(name: str) -> Callable[..., NoReturn]:
    call = _CALLS.get(name, f'loop.{name}')

    def refusing(self: RefusingLoop, *args: Any, **kwargs: Any) -> NoReturn:
        for argument in args:
            if asyncio.iscoroutine(argument):
                argument.close()
        self.refuse(call, 'has no place in a workflow: its replay cannot do it again. Do it in an activity.')

    refusing.__name__ = name
    return refusing


for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith('_'):
        setattr(RefusingLoop, _name, _refusing(_name))
