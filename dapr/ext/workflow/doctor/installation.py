"""Which distribution's files are at `dapr/ext/workflow`, by what each says that it has installed.

Three distributions bring that package: ours, `dapr-ext-workflow` (up to 1.18), and `dapr` itself (from 1.19 on). pip
lets each write over the files of another, and take away what is another's by now, without a word.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dapr.ext.workflow.doctor.line import Line

OURS: Final = 'dapr-stateful-workflow'
OTHERS: Final = ('dapr', 'dapr-ext-workflow')
_PACKAGE: Final = 'dapr/ext/workflow/'


@dataclass(frozen=True, slots=True)
class Installed:
    """A distribution that is installed, and what is now in the places of its files at `dapr/ext/workflow`.

    Attributes:
        name: Of the distribution.
        version: Of the distribution.
        root: Where it is installed; for an editable one the source tree.
        editable: Whether it is a link to a source tree, which has installed no files there.
        files: The hashes of the files that it installed there, by path from the root, as pip writes them.
        present: The hashes of what is there now; a file that is gone has none.
    """

    name: str
    version: str
    root: Path
    editable: bool
    files: Mapping[str, str]
    present: Mapping[str, str]

    @property
    def title(self) -> str:
        """Name and version."""
        return f'{self.name} {self.version}'

    @property
    def lost(self) -> list[str]:
        """The files that are gone, or are not what was installed."""
        return [path for path, hash in self.files.items() if self.present.get(path) != hash]


def installed(name: str) -> Installed | None:
    """Looks at a distribution; None when it is not installed."""
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    source = _editable_source(distribution)
    root = Path(str(distribution.locate_file(''))) if source is None else source
    files = dict(_recorded(distribution))
    present = {path: _hash(root / path) for path in files if (root / path).is_file()}
    return Installed(name, distribution.version, root, source is not None, files, present)


def examine_installation() -> Iterator[Line]:
    """Says which implementation is active, and whether it is whole."""
    folder = Path(__file__).resolve().parent.parent
    ours = installed(OURS)
    others = [other for other in map(installed, OTHERS) if other is not None and other.files]
    if ours is None or (ours.root / _PACKAGE).resolve() != folder:
        yield Line('implementation', f'{OURS} {_source_version(folder)}, from {folder}, which pip has not installed')
        if ours is not None:
            yield Line('shadowed', f'{ours.title} at {ours.root}, which comes later on the path')
        return
    if ours.lost:
        yield Line('implementation', _what_came_over(ours, others), wrong=True)
        return
    yield Line('implementation', f'{ours.title}, from {folder}{", editable" if ours.editable else ""}')
    for other in others:
        yield Line(
            'in place of', f'{other.title}: {len(other.lost)} of its {len(other.files)} files there are not its own'
        )
    if len(others) > 1:
        yield Line(
            'two others',
            f'{_named(others)} both bring these files, and ours are active. Whatever installs, upgrades or uninstalls '
            'one of the two takes ours away: install ours again after it',
        )
    for module in _shadowed_modules(ours, folder):
        yield Line(
            'shadowed', f'{folder / module}.py, by the folder beside it, which is not ours: remove that', wrong=True
        )


def _what_came_over(ours: Installed, others: list[Installed]) -> str:
    culprits = [
        other for other in others if any(other.files.get(path) == ours.present.get(path, '') for path in ours.lost)
    ]
    how = f'are those of {_named(culprits)}' if culprits else 'were changed or taken away'
    if len(culprits) > 1:  # they have files in common
        active = min(culprits, key=lambda other: len(other.lost) / len(other.files))
        how += f', of which {active.title} came last and is active'
    return (
        f'{ours.title} is not whole: {len(ours.lost)} of its {len(ours.files)} files {how}. Install it last, from '
        'where it came: python -m pip install --force-reinstall --no-deps, and the wheel or the checkout'
    )


def _named(distributions: list[Installed]) -> str:
    return ' and '.join(each.title for each in distributions)


def _shadowed_modules(ours: Installed, folder: Path) -> Iterator[str]:
    # Python takes a package before a module of the same name, whoever brought it.
    for path in ours.files:
        module = path.removeprefix(_PACKAGE).removesuffix('.py')
        if path.endswith('.py') and (folder / module / '__init__.py').is_file():
            yield module


def _recorded(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, str]]:
    # Not by `Distribution.files`, which from Python 3.12 on leaves out what is gone.
    for path, hash, _ in csv.reader((distribution.read_text('RECORD') or '').splitlines()):
        method, _, value = hash.partition('=')
        if path.startswith(_PACKAGE) and method == 'sha256':
            yield path, value


def _editable_source(distribution: importlib.metadata.Distribution) -> Path | None:
    text = distribution.read_text('direct_url.json')
    origin = json.loads(text) if text else {}
    if not origin.get('dir_info', {}).get('editable'):
        return None
    return Path(url2pathname(urlsplit(origin['url']).path))


def _source_version(folder: Path) -> str:
    # Not imported: `_version` may be another's, or gone.
    found = re.search(r"__version__ = '(.+)'", (folder / '_version.py').read_text())
    return found[1] if found else 'of an unknown version'


def _hash(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b'=').decode()
