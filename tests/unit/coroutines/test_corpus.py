"""What async workflows were answered with once they are answered with now, on every Python: running instances replay by
it. A difference here is one that breaks workflows which are running: see docs/design.md, "Async workflows"."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import async_corpus
from tests.support.recorded_turns import replayed
from tests.support.replay_elsewhere import orchestrator_of


@pytest.mark.parametrize('path', async_corpus.files(), ids=lambda path: path.stem)
def test_a_recorded_workflow_is_answered_as_it_was(path: Path) -> None:
    program, turns = async_corpus.read(path)
    assert replayed(orchestrator_of(program), turns) == [turn.response for turn in turns]


def test_the_corpus_has_what_workflows_wait_by() -> None:
    kinds = {kind for path in async_corpus.files() for kind in async_corpus.kinds_of(async_corpus.read(path)[0])}
    assert {'gather', 'as_completed', 'when_any', 'with_timeout', 'cancelled', 'locked', 'generated'} <= kinds
    assert len(async_corpus.files()) >= 20
