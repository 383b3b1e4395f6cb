"""What the README and the guide show works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.go_sidecar import ROOT, Sidecar


def program_of(page: str) -> str:
    """The one program of a page."""
    (program,) = re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)
    return str(program)


def run(*arguments: str, **environ: str) -> str:
    """What Python prints, run so; it has to succeed."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith('DAPR_')}
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**bare, 'PYTHONPATH': str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_workflow_of_the_readme_runs(sidecar: Sidecar, tmp_path: Path) -> None:
    path = tmp_path / 'first.py'
    path.write_text(program_of('README.md'))

    assert run(str(path), DAPR_GRPC_ENDPOINT=sidecar.address).strip() == '["Hello Tokyo!", "Hello London!"]'


def test_the_first_workflow_of_the_guide_runs(tmp_path: Path) -> None:
    path = tmp_path / 'greetings.py'
    path.write_text(program_of('docs/guide/getting-started.md'))

    assert run(str(path)).strip() == '["Hello Tokyo!", "Hello London!"]'
