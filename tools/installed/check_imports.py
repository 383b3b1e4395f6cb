"""Every module of ours is the one that is imported: no other distribution's stands before it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import warnings
from pathlib import Path

warnings.simplefilter('error')  # as dapr 1.19 warns, at its import, of what is wrong with the packages around it
modules = 0
for file in importlib.metadata.distribution(sys.argv[1]).files or ():
    if file.suffix == '.py':
        parts = file.with_suffix('').parts
        spec = importlib.util.find_spec('.'.join(parts[:-1] if parts[-1] == '__init__' else parts))
        assert spec is not None, file
        assert spec.origin is not None, file
        assert Path(spec.origin).samefile(str(file.locate())), spec.origin
        modules += 1
print(f'{modules} modules are imported from where they were installed')
