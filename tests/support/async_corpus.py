"""The corpus of async workflows: turns that were answered once, and have to be answered so for good.

The order in which a workflow's event loop runs callbacks is part of the contract, since running instances replay by it
(docs/design.md). tests/unit/coroutines/corpus has programs as text with their recorded turns. What is there is never
made anew: `python -m tests.support.async_corpus` adds programs to it, of the kinds that it has least of.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from tests.support import async_programs, random_workflows, recorded_turns
from tests.support.async_programs import Program
from tests.support.random_workflows import Move, moves
from tests.support.recorded_turns import RecordedTurn, played
from tests.support.replay_elsewhere import orchestrator_of

FOLDER = Path(__file__).parents[1] / 'unit' / 'coroutines' / 'corpus'
ADDED = 20
_LEAST_TURNS = 4
# Not every Python has these, or has them do the same: `asyncio.wait_for` makes its timer before the task that it waits
# for until 3.11, and after it from 3.12 on ('shielded' and, until 3.10, 'timeout' are made with it).
_OF_THE_VERSION = frozenset({'group', 'timeout', 'wait_for', 'shielded'})
_EXAMPLES = 600


def files() -> list[Path]:
    """The files of the corpus."""
    return sorted(FOLDER.glob('*.json'))


def read(path: Path) -> tuple[Program, list[RecordedTurn]]:
    """A program, and the turns that it was recorded with."""
    first, _, turns = path.read_text().partition('\n')
    names = {**vars(random_workflows), **vars(async_programs)}
    return eval(first.removeprefix('// '), names), recorded_turns.from_json(turns)


def candidates() -> Iterator[tuple[Program, list[RecordedTurn]]]:
    """Random programs that go on for some turns."""
    found: list[tuple[Program, list[RecordedTurn]]] = []

    @settings(
        max_examples=_EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        program=async_programs.async_programs,
        schedule=st.lists(st.lists(moves, min_size=1, max_size=3), min_size=6),
    )
    def collect(program: Program, schedule: list[list[Move]]) -> None:
        if kinds_of(program) & _OF_THE_VERSION:
            return
        turns = played(orchestrator_of(program), schedule)
        if len(turns) >= _LEAST_TURNS:
            found.append((program, turns))

    collect()
    return iter(found)


def kinds_of(program: Program) -> set[str]:
    """The ways in which a program waits."""
    return {part.split("'")[1] for part in repr(program).split('how=')[1:]} | {
        part.split("'")[1] for part in repr(program).split('kind=')[1:]
    }


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    known: Counter[str] = Counter(kind for path in files() for kind in kinds_of(read(path)[0]))
    left = list(candidates())
    number = len(files())
    for _ in range(min(ADDED, len(left))):
        chosen = max(left, key=lambda each: sum(1 / (1 + known[kind]) for kind in kinds_of(each[0])))
        left.remove(chosen)
        known.update(kinds_of(chosen[0]))
        number += 1
        path = FOLDER / f'{number:02}.json'
        path.write_text(f'// {chosen[0]!r}\n{recorded_turns.to_json(chosen[1])}')
        sys.stdout.write(f'{path.name}: {len(chosen[1])} turns\n')


if __name__ == '__main__':
    main()
