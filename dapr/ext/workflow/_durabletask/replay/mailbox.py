"""The external events of a run: who waits for which, and those that nobody has waited for yet.

Names are compared without case. Waits of one name are served in the order in which they began.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import Any, NamedTuple

from dapr.ext.workflow._durabletask.task import CompletableTask

__all__ = ['BufferedEvent', 'Mailbox', 'Waiter']


class BufferedEvent(NamedTuple):
    """An external event that no one has waited for yet."""

    arrival: int
    name: str
    encoded: str | None


class Waiter(NamedTuple):
    """A wait that goes on.

    Attributes:
        task: Ends with the event.
        timer_id: The action of the wait's timer, which is let go of when the event has come: in a workflow that is kept
            running one for each wait would add up, until they fire, or for ever.
    """

    task: CompletableTask[Any]
    timer_id: int


class Mailbox:
    """Brings events and waits together; the context of a run makes one when the first of either comes."""

    __slots__ = ('_arrivals', '_buffered', '_waiters')

    def __init__(self) -> None:
        # Few waits have the same name, and an empty deque takes as much room as ten lists.
        self._waiters: dict[str, list[Waiter]] = {}
        self._buffered: dict[str, deque[BufferedEvent]] = {}
        self._arrivals = 0

    @property
    def has_waiters(self) -> bool:
        """Whether anyone waits."""
        return bool(self._waiters)

    def wait(self, name: str, task: CompletableTask[Any], timer_id: int) -> None:
        """Takes note of a wait."""
        self._waiters.setdefault(name.casefold(), []).append(Waiter(task, timer_id))

    def withdraw(self, name: str, task: CompletableTask[Any]) -> Waiter | None:
        """Takes back a wait; None: it goes on no more."""
        folded = name.casefold()
        waiters = self._waiters.get(folded, ())
        for place, waiter in enumerate(waiters):
            if waiter.task is task:
                return self._served(folded, place)
        return None

    def deliver(self, name: str, encoded: str | None) -> Waiter | None:
        """Gives an event to who has waited longest for its name; without a waiter (None), it is kept."""
        folded = name.casefold()
        if folded in self._waiters:
            return self._served(folded, 0)
        self.keep(name, encoded)
        return None

    def keep(self, name: str, encoded: str | None) -> None:
        """Keeps an event for a later wait, or for the next run."""
        self._arrivals += 1
        self._buffered.setdefault(name.casefold(), deque()).append(BufferedEvent(self._arrivals, name, encoded))

    def take(self, name: str) -> BufferedEvent | None:
        """The oldest event of a name that is kept, which is then kept no more; None: there is none."""
        folded = name.casefold()
        buffered = self._buffered.get(folded)
        if buffered is None:
            return None
        event = buffered.popleft()
        if not buffered:
            del self._buffered[folded]
        return event

    def kept(self) -> list[BufferedEvent]:
        """All events that are kept, in the order in which they came."""
        return sorted(chain.from_iterable(self._buffered.values()))

    def _served(self, folded: str, place: int) -> Waiter:
        waiters = self._waiters[folded]
        waiter = waiters.pop(place)
        if not waiters:
            del self._waiters[folded]
        return waiter
