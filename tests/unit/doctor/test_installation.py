"""Which implementation is active, by what distributions have installed into a folder that stands for site-packages."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dapr.ext.workflow import doctor
from dapr.ext.workflow.doctor import installation
from dapr.ext.workflow.doctor.line import Line

FOLDER = 'dapr/ext/workflow'
MAIN = '__main__.py'
OURS = {'worker.py': 'ours', '_version.py': "__version__ = '9.9'\n", 'sticky.py': 'ours'}
THEIRS = {'worker.py': 'theirs', '_version.py': "__version__ = '1.19'\n", 'mcp.py': 'theirs'}


class Site:
    """A folder that distributions are installed into, as pip does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path / FOLDER

    def install(self, name: str, version: str, files: Mapping[str, str]) -> None:
        record = []
        for file, text in files.items():
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()
            record.append(f'{FOLDER}/{file},sha256={digest},{len(text)}')
        record.append(f'{FOLDER}/__pycache__/worker.cpython-311.pyc,,')
        self.describe(name, version, record)

    def describe(self, name: str, version: str, record: list[str], **files: str) -> None:
        info = self.path / f'{name.replace("-", "_")}-{version}.dist-info'
        info.mkdir(parents=True)
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        (info / 'RECORD').write_text('\n'.join(record) + '\n')
        for file, text in files.items():
            (info / f'{file}.json').write_text(text)

    def install_ours(self) -> None:
        self.install(installation.OURS, '9.9', OURS)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site that the doctor takes for its own, and that alone is searched for distributions."""
    site = Site(tmp_path)
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    monkeypatch.setattr(installation, '__file__', str(site.folder / 'doctor' / 'installation.py'))
    return site


def examined() -> tuple[dict[str, str], list[str]]:
    """The texts by name, and the names of what is wrong."""
    lines = list(doctor.examine_installation())
    return {line.name: line.text for line in lines}, [line.name for line in lines if line.wrong]


def test_ours_alone_is_named_with_its_place(site: Site) -> None:
    site.install_ours()

    assert examined() == ({'implementation': f'dapr-stateful-workflow 9.9, from {site.folder}'}, [])


def test_ours_over_the_copy_in_dapr_is_well_and_says_what_it_replaces(site: Site) -> None:
    site.install('dapr', '1.19.0', THEIRS)
    site.install_ours()

    texts, wrong = examined()

    assert not wrong
    assert texts['in place of'] == 'dapr 1.19.0: 2 of its 3 files there are not its own'


def test_a_dapr_without_a_workflow_package_is_not_spoken_of(site: Site) -> None:
    site.describe('dapr', '1.18.3', ['dapr/conf/__init__.py,sha256=x,1'])
    site.install_ours()

    assert list(examined()[0]) == ['implementation']


def test_files_that_came_over_ours_are_told_with_whose_they_are_and_what_to_do(site: Site) -> None:
    site.install_ours()
    site.install('dapr', '1.19.0', THEIRS)

    texts, wrong = examined()

    assert wrong == ['implementation']
    assert '2 of its 3 files are those of dapr 1.19.0' in texts['implementation']
    assert texts['implementation'].endswith('pip install --force-reinstall --no-deps, and the wheel or the checkout')


def test_two_others_under_ours_are_told_with_what_takes_ours_away(site: Site) -> None:
    site.install('dapr', '1.19.0', THEIRS)
    site.install('dapr-ext-workflow', '1.18.3', THEIRS)
    site.install_ours()

    texts, wrong = examined()

    assert not wrong
    assert texts['two others'].startswith('dapr 1.19.0 and dapr-ext-workflow 1.18.3 both bring these files')
    assert 'ours are active' in texts['two others']


@pytest.mark.parametrize('last', ['dapr 1.19.0', 'dapr-ext-workflow 1.18.3'])
def test_of_two_others_that_came_over_ours_the_active_one_is_named(site: Site, last: str) -> None:
    site.install_ours()
    older = {**THEIRS, 'worker.py': 'older'}
    both = [('dapr', '1.19.0', THEIRS), ('dapr-ext-workflow', '1.18.3', older)]
    for name, version, files in both if last.startswith('dapr-ext') else reversed(both):
        site.install(name, version, files)

    texts, wrong = examined()

    assert wrong == ['implementation']
    assert f'of which {last} came last and is active' in texts['implementation']


def test_files_that_another_uninstall_took_away_are_told(site: Site) -> None:
    site.install_ours()
    (site.folder / 'worker.py').unlink()

    texts, wrong = examined()

    assert wrong == ['implementation']
    assert '1 of its 3 files were changed or taken away' in texts['implementation']


def test_a_folder_that_python_takes_before_a_module_of_ours_is_told(site: Site) -> None:
    site.install('dapr', '1.20.0', {'worker/__init__.py': 'theirs'})
    site.install_ours()

    texts, wrong = examined()

    assert wrong == ['shadowed']
    assert texts['shadowed'].startswith(f'{site.folder / "worker"}.py')


def test_an_editable_one_is_named_with_its_source_tree(site: Site, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = Site(tmp_path_factory.mktemp('site'))
    sys.path.append(str(elsewhere.path))
    origin = json.dumps({'url': site.path.as_uri(), 'dir_info': {'editable': True}})
    elsewhere.describe(installation.OURS, '9.9', ['ours.pth,sha256=x,1'], direct_url=origin)

    assert examined() == ({'implementation': f'dapr-stateful-workflow 9.9, from {site.folder}, editable'}, [])


def test_a_source_tree_that_no_one_installed_says_so_and_what_it_hides(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    site.folder.mkdir(parents=True)
    (site.folder / '_version.py').write_text(OURS['_version.py'])
    elsewhere = Site(tmp_path_factory.mktemp('site'))
    sys.path.append(str(elsewhere.path))
    elsewhere.install_ours()

    texts, wrong = examined()

    assert not wrong
    assert texts['implementation'] == f'dapr-stateful-workflow 9.9, from {site.folder}, which pip has not installed'
    assert str(elsewhere.path) in texts['shadowed']


def test_the_sidecar_is_left_alone_while_what_is_installed_is_wrong(site: Site) -> None:
    site.install_ours()
    (site.folder / 'worker.py').unlink()

    *_, last = doctor.examine()

    assert last == Line('sidecar', 'not asked: what is installed is to be put right first')


def test_the_command_runs_where_nothing_but_itself_is_left_of_ours(tmp_path: Path) -> None:
    """As after an uninstall of a distribution that had the same files."""
    source = Path(doctor.__file__).parent
    files = {MAIN: (source.parent / MAIN).read_text(), '_version.py': OURS['_version.py']}
    files.update({f'doctor/{path.name}': path.read_text() for path in source.glob('*.py')})
    site = Site(tmp_path)
    site.install(installation.OURS, '9.9', {**OURS, **files})
    (site.folder / 'worker.py').unlink()

    run = subprocess.run(
        [sys.executable, '-S', '-m', 'dapr.ext.workflow', 'doctor'],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != 'PYTHONPATH'},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 1, run.stderr
    assert '! implementation  dapr-stateful-workflow 9.9 is not whole' in run.stdout
