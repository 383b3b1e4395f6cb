"""Imports every module of some packages. One that lacks a package of an extra of theirs is told and passed over.

python imports.py PACKAGE ...
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path


def modules_of(package: str) -> Iterator[str]:
    """The modules of a package, with those of folders that have no `__init__.py`."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f'{package} is not installed'
    for place in spec.submodule_search_locations or ():
        root = Path(place)
        for file in sorted(root.rglob('*.py')):
            parts = file.relative_to(root).with_suffix('').parts
            if parts[-1] == '__main__':
                continue
            if parts[-1] == '__init__':
                parts = parts[:-1]
            yield '.'.join((package, *parts))


def lacking_package(error: ImportError) -> str | None:
    """The package of an extra that an import has not found; None: that is not what is wrong."""
    cause: BaseException | None = error
    while cause is not None:  # some turn it into words of their own: "install X"
        name = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if name and name.split('.')[0] not in {package.split('.')[0] for package in sys.argv[1:]}:
            return name
        cause = cause.__cause__ or cause.__context__
    return None


def main() -> int:
    warnings.simplefilter('ignore')
    imported, failures = 0, 0
    lacking: Counter[str] = Counter()
    for package in sys.argv[1:]:
        for name in modules_of(package):
            try:
                importlib.import_module(name)
            except ImportError as error:
                if (missing := lacking_package(error)) is not None:
                    lacking[missing] += 1
                    continue
                failures += 1
                traceback.print_exc()
            except Exception:
                failures += 1
                traceback.print_exc()
            else:
                imported += 1
    extras = ', '.join(f'{name} ({count})' for name, count in lacking.most_common())
    print(f'{imported} modules of {", ".join(sys.argv[1:])} are imported')
    if extras:
        print(f'{sum(lacking.values())} more ask for what their extras bring: {extras}')
    return 1 if failures or not imported else 0


if __name__ == '__main__':
    sys.exit(main())
