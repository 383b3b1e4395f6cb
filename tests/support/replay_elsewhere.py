"""Replays the random async workflows of a file, in a process of its own.

`python -m tests.support.replay_elsewhere FILE` prints how many there were, and the first one that was answered
otherwise than before.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dapr.ext.workflow._durabletask.aio.context import AsyncWorkflowContext
from dapr.ext.workflow._durabletask.aio.orchestrator import async_orchestrator
from tests.support.async_programs import Program, perform
from tests.support.recorded_turns import RecordedTurn, replayed

Case = tuple[Program, list[RecordedTurn]]


def orchestrator_of(program: Program) -> Callable[..., Any]:
    """The orchestrator that does what a program says."""

    async def workflow(ctx: AsyncWorkflowContext, run: int) -> Any:
        return await perform(ctx, program, run)

    return async_orchestrator(workflow)


def differing(cases: Iterable[Case]) -> list[Program]:
    """The programs that are answered otherwise now than when they were recorded."""
    return [
        program
        for program, turns in cases
        if replayed(orchestrator_of(program), turns) != [turn.response for turn in turns]
    ]


def main() -> None:
    cases: list[Case] = pickle.loads(Path(sys.argv[1]).read_bytes())
    others = differing(cases)
    sys.stdout.write(f'{len(cases)} replayed; {others[0] if others else "all alike"}\n')


if __name__ == '__main__':
    main()
