"""Reads the source of some packages, and looks up each name that they use of `dapr.ext.workflow`.

    python names.py FILE PACKAGE ...

The first run, on the original, writes those that are there into the file; on ours each of them has to be there, too.
Found are `from dapr.ext.workflow... import name`, what is asked of a module that was imported so (`wf.name`), and
dotted names in strings, which instrumentation patches by.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

_OURS = 'dapr.ext.workflow'
_DOTTED = re.compile(r'dapr\.ext\.workflow(\.[A-Za-z_]\w*)*')


def used_in(tree: ast.Module) -> Iterator[str]:
    """The names that a module uses of ours, dotted from the root."""
    aliases = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and is_ours(node.module or ''):
            for name in node.names:
                dotted = f'{node.module}.{name.name}'
                aliases[name.asname or name.name] = dotted
                yield dotted
        elif isinstance(node, ast.Import):
            for name in node.names:
                if is_ours(name.name):
                    if name.asname:
                        aliases[name.asname] = name.name
                    yield name.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.fullmatch(node.value):
            yield node.value
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield f'{aliases[node.value.id]}.{node.attr}'


def is_ours(module: str) -> bool:
    return module == _OURS or module.startswith(f'{_OURS}.')


def is_there(dotted: str) -> bool:
    """Whether a module, or a name in one, or an attribute of that is there."""
    parts = dotted.split('.')
    for length in range(len(parts), 2, -1):
        try:
            found = importlib.import_module('.'.join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def main() -> int:
    users: dict[str, set[str]] = {}
    file, *packages = sys.argv[1:]
    for package in packages:
        spec = importlib.util.find_spec(package)
        assert spec is not None, f'{package} is not installed'
        for place in spec.submodule_search_locations or ():
            for source in Path(place).rglob('*.py'):
                for dotted in used_in(ast.parse(source.read_text(encoding='utf-8'))):
                    users.setdefault(dotted, set()).add(source.name)
    there = {dotted for dotted in users if is_there(dotted)}
    if not Path(file).exists():
        Path(file).write_text(json.dumps(sorted(there)))
        in_neither = ', '.join(sorted(users.keys() - there)) or 'none'
        print(f'they use {len(users)} names of {_OURS}; not there in the original: {in_neither}')
        return 0
    in_original = json.loads(Path(file).read_text())
    missing = [dotted for dotted in in_original if dotted not in there]
    for dotted in missing:
        print(f'{dotted} is not there; it is used in {", ".join(sorted(users[dotted]))}')
    print(f'{len(in_original) - len(missing)} of the {len(in_original)} names of the original that they use are there')
    return 1 if missing or not in_original else 0


if __name__ == '__main__':
    sys.exit(main())
