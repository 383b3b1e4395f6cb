"""What the README shows works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.go_sidecar import ROOT, Sidecar


def test_the_first_workflow_runs(sidecar: Sidecar, tmp_path: Path) -> None:
    (program,) = re.findall(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    path = tmp_path / 'first.py'
    path.write_text(program)
    run = subprocess.run(
        [sys.executable, str(path)],
        env={**os.environ, 'DAPR_GRPC_ENDPOINT': sidecar.address, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == '["Hello Tokyo!", "Hello London!"]'
