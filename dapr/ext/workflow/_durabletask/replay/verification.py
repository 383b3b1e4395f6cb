"""Finds out whether a workflow that is kept running does what a replay of its history does.

With sticky execution a workflow's code is not run again, so code that depends on something that is not in its history
is not found out until the workflow has to be replayed: after an eviction or a restart, in production. This check, for
development and CI, replays every n-th such turn from scratch and compares.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence

from dapr.ext.workflow._durabletask.failures import NonDeterminismError
from dapr.ext.workflow._durabletask.internal import protos as pb
from dapr.ext.workflow._durabletask.replay.instance import ExecutionResults

VARIABLE = 'DAPR_WF_VERIFY_REPLAY'


def every_nth_turn(environ: Mapping[str, str] = os.environ) -> int:
    """How many sticky turns there are to one that is checked, by the environment; 0: none is.

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
    """Says which turns are checked, and checks them. May be called from any thread.

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
    def compare(instance_id: str, kept: ExecutionResults, replayed: ExecutionResults) -> None:
        """Holds what a kept workflow came to against what a replay of its whole history came to.

        Raises:
            NonDeterminismError: They differ; the message has both.
        """
        ours, theirs = _lines(kept), _lines(replayed)
        if ours != theirs:
            raise NonDeterminismError(
                f"Instance '{instance_id}' does something else when it is replayed than when it is run: its code "
                'depends on something that is not in its history (the time, randomness, the environment, state that it '
                'shares), or was changed while it was running.\n'
                f'It asked for:\n{_indented(ours)}\nIn the replay it asked for:\n{_indented(theirs)}'
            )


def _lines(results: ExecutionResults) -> list[str]:
    lines = [_described(action) for action in results.actions]
    if results.encoded_custom_status is not None:
        lines.append(f'custom status {results.encoded_custom_status}')
    if results.version_name:
        lines.append(f'version {results.version_name}')
    lines.extend(f'patch {patch}' for patch in results.patches or ())
    return lines


def _described(action: pb.WorkflowAction) -> str:
    """An action in a line, all of it but stack traces, which know the call that they were made in."""
    copy = pb.WorkflowAction()
    copy.CopyFrom(action)
    if copy.HasField('completeWorkflow') and copy.completeWorkflow.HasField('failureDetails'):
        details = copy.completeWorkflow.failureDetails
        while True:
            details.ClearField('stackTrace')
            if not details.HasField('innerFailure'):
                break
            details = details.innerFailure
    kind = copy.WhichOneof('workflowActionType')
    body = '' if kind is None else ' '.join(str(getattr(copy, kind)).split())
    router = ' '.join(str(copy.router).split()) if copy.HasField('router') else ''
    return f'{copy.id}: {kind} {{{body}}}' + (f' to {{{router}}}' if router else '')


def _indented(lines: Sequence[str]) -> str:
    return '\n'.join(f'  {line}' for line in lines) or '  nothing'
