"""JUnit XML, in the form that CI systems have agreed on: a suite, and a case for each thing that was tried."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

# What XML cannot say, even escaped.
_UNSPEAKABLE: Final = re.compile('[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


@dataclass(frozen=True)
class Case:
    """One thing that was tried.

    Attributes:
        name: Its name.
        group: What it belongs to: the case's class name.
        seconds: How long it took.
        kind: 'failure', 'error' or 'skipped'; None: it went well.
        text: Why.
    """

    name: str
    group: str
    seconds: float
    kind: str | None
    text: str


def write_junit(path: str, suite: str, cases: Sequence[Case]) -> None:
    """Writes cases into a file, in place of what is there.

    Args:
        path: The file.
        suite: What the suite is called.
        cases: The cases.

    Raises:
        OSError: It cannot be written.
    """
    counts = {kind: str(sum(case.kind == kind for case in cases)) for kind in ('failure', 'error', 'skipped')}
    attributes = {
        'name': suite,
        'tests': str(len(cases)),
        'failures': counts['failure'],
        'errors': counts['error'],
        'skipped': counts['skipped'],
        'time': f'{sum(case.seconds for case in cases):.3f}',
    }
    root = ElementTree.Element('testsuites')
    element = ElementTree.SubElement(root, 'testsuite', attributes)
    for case in cases:
        told = ElementTree.SubElement(
            element,
            'testcase',
            {'classname': _said(case.group), 'name': _said(case.name), 'time': f'{case.seconds:.3f}'},
        )
        if case.kind is not None:
            first = case.text.partition('\n')[0]
            ElementTree.SubElement(told, case.kind, {'message': _said(first)}).text = _said(case.text)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(root).write(path, encoding='utf-8', xml_declaration=True)


def _said(text: str) -> str:
    return _UNSPEAKABLE.sub('\ufffd', text)
