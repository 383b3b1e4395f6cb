"""Finds out whether a workflow does in a replay what it did when it ran.

With sticky execution a workflow's code is not run again, so code that depends on something that is not in its history
is not found out until the workflow has to be replayed: after an eviction or a restart, in production. This check, for
development and CI, replays every n-th turn from the start, its first one included, and compares.

The replay is a second run of the same code in the same process, a moment later. So what comes from outside is as it
then is: the clock has gone on, random numbers and UUIDs are others, and what the program has counted or kept goes on
from there. Nothing is put in the place of these, since other threads would see it too; so what is the same at both
moments (the hour, an environment variable, the order of a set of strings, which follows from the process's hash seed)
is not found out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from dapr.ext.workflow._durabletask.call_logging import Call
from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow._durabletask.replay.differences import Outcome, difference
from dapr.ext.workflow._durabletask.replay.sites import SiteRecordingContext

VARIABLE = 'DAPR_WF_VERIFY_REPLAY'


def every_nth_turn(environ: Mapping[str, str] = os.environ) -> int:
    """How many turns there are to one that is checked, by the environment; 0: none is.

    Raises:
        ValueError: The variable is not a number that makes sense.
    """
    value = environ.get(VARIABLE, '').strip()
    if not value:
        return 0
    if not (value.isascii() and value.isdigit()):
        raise ValueError(
            f'{VARIABLE} is {value!r}: it must be a number n, so that every n-th turn is replayed and compared (1: '
            'each), or 0 or empty for none.'
        )
    return int(value)


class ReplayVerification:
    """Says which turns are checked, and what is wrong with one. May be called from any thread.

    Args:
        every: One in so many turns is checked.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._lock = threading.Lock()
        self._turns = 0

    def is_due(self) -> bool:
        """Counts a turn; says whether it is to be checked."""
        with self._lock:
            self._turns += 1
            return self._turns % self._every == 0

    @staticmethod
    def compare(instance_id: str, workflow: str, ran: Outcome, replayed: Outcome) -> None:
        """Holds what a turn came to against what its replay from the start came to.

        Args:
            instance_id: The instance.
            workflow: The name of the workflow.
            ran: What the turn came to.
            replayed: What its replay came to.

        Raises:
            NonDeterminismError: They differ; the message says in what.
        """
        told = difference(ran, replayed)
        if told is not None:
            raise NonDeterminismError(
                f"The workflow '{workflow}' ({instance_id}) does something else when it is replayed than when it ran. "
                'Its code depends on something that is not in its history (the time, chance, the environment, what it '
                'shares with others), or was changed while it was running. The first difference:\n'
                f'{told}'
            )


class VerifiedContext(SiteRecordingContext):
    """The context of a workflow in a worker that checks its turns. It knows the lines of a turn's calls."""

    def let_go_of_clock(self) -> None:
        super().let_go_of_clock()
        # The end of a turn: what is of earlier ones is not told any more.
        self.sites = {action_id: site for action_id, site in self.sites.items() if action_id in self._actions}


class VerifyingContext(SiteRecordingContext):
    """The context of the replay that checks a turn: silent, since the turn has logged what there is to log."""

    def _for_loggers(self) -> Call:
        return _Silent(self)


class _Silent:
    """A call whose replay-safe loggers are silent, also for what is new."""

    is_replaying = True

    def __init__(self, call: Call) -> None:
        self._call = call

    def log_fields(self) -> Mapping[str, object]:
        return self._call.log_fields()
