"""A real browser for the dashboard's tests: the Chromium of the machine, headless.

DAPR_CHROMIUM names it (default: chromium on PATH). Where there is none, the tests are skipped with a banner; under
DAPR_BROWSER=require they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_MISSING = 'no chromium: install it (on Debian: apt-get install chromium), or name it in DAPR_CHROMIUM'
# It runs as root in CI, and must not look for anything outside of the machine.
_ARGUMENTS = [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin('terminalreporter')
    if reporter is None:
        return
    skipped = sum(_MISSING in str(report.longrepr) for report in reporter.getreports('skipped'))
    if skipped:
        reporter.write_sep('!', f'{skipped} BROWSER TESTS WERE SKIPPED', red=True, bold=True)
        reporter.write_line(_MISSING, red=True, bold=True)


@pytest.fixture(scope='session')
def browser() -> Iterator[Browser]:
    """The browser."""
    path = os.environ.get('DAPR_CHROMIUM') or shutil.which('chromium') or shutil.which('chromium-browser')
    if path is None:
        if os.environ.get('DAPR_BROWSER') == 'require':
            pytest.fail(_MISSING, pytrace=False)
        pytest.skip(_MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()
