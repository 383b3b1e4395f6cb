"""Makes the Python stubs of proto/*.proto: messages, service, what type checkers read, and protos.py with every name.

    make gen-proto                          into the source tree
    python tools/gen_proto.py --out FOLDER  elsewhere, for a comparison

The stubs are committed, so they must come out the same, byte for byte, on every machine: it runs with exactly the
versions that pyproject.toml's dependency group `proto` pins, and with no others.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / 'proto'
PACKAGE = 'dapr.ext.workflow._durabletask.internal'
INTERNAL = ROOT.joinpath(*PACKAGE.split('.'))
VERSIONS = 'GENERATED_BY'
NAMES = 'protos.py'

# The one file with a service: for any other, the gRPC plugins write modules without content.
SERVICE = 'orchestrator_service.proto'
GENERATED = ('*_pb2.py', '*_pb2.pyi', '*_pb2_grpc.py', '*_pb2_grpc.pyi', NAMES, VERSIONS)

_PROTOC_SECONDS = 120


class GenerationError(Exception):
    """The stubs could not be made; the message says what is missing or wrong, and what to do."""


def pins() -> dict[str, str]:
    """The exact versions of the generators, by distribution, as pyproject.toml's group `proto` names them."""
    text = (ROOT / 'pyproject.toml').read_text(encoding='utf-8')  # not parsed: Python 3.10 has no TOML reader
    group = re.search(r'^proto = \[\n(.*?)^\]', text, re.MULTILINE | re.DOTALL)
    found = dict(re.findall(r'"([a-z-]+)==([^"]+)"', group.group(1))) if group else {}
    if set(found) != {'grpcio-tools', 'mypy-protobuf'}:
        raise GenerationError(
            "pyproject.toml's dependency group `proto` must pin grpcio-tools and mypy-protobuf by ==, and pins "
            f'{sorted(found) or "nothing"}'
        )
    return found


def unmet_pins() -> list[str]:
    """What keeps this interpreter from making the stubs: one line for each distribution that is not as pinned."""
    unmet = []
    for name, version in pins().items():
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = 'none'
        if installed != version:
            unmet.append(f'{name} {version} is needed, and here is {installed}')
    return unmet


def generate(out: Path) -> None:
    """Compiles every file of proto/ into the folder `out`, in place of the stubs that are there.

    Args:
        out: A folder that exists. Files that are no stubs are left alone.

    Raises:
        GenerationError: The generators are not the pinned ones, or protoc refused a file (its own words are on stderr).
    """
    unmet = unmet_pins()
    if unmet:
        raise GenerationError(
            f'{sys.executable} cannot make the stubs: {"; ".join(unmet)}. '
            'Run `make gen-proto`, which makes an environment that can.'
        )
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, 'made')
        made.mkdir()
        descriptors = Path(scratch, 'descriptors')
        _compile(made, descriptors)
        for file in made.iterdir():
            text = _polish(file.name, file.read_text(encoding='utf-8'))
            file.write_text(text, encoding='utf-8', newline='\n')
        (made / NAMES).write_text(_names(descriptors), encoding='utf-8', newline='\n')
        (made / VERSIONS).write_text(_versions(made), encoding='utf-8', newline='\n')
        for pattern in GENERATED:
            for old in out.glob(pattern):
                old.unlink()
        for file in made.iterdir():
            shutil.copyfile(file, out / file.name)


def _compile(out: Path, descriptors: Path) -> None:
    """Runs protoc with its plugins; what they write still has to be polished."""
    every_file = sorted(file.name for file in PROTO.glob('*.proto'))
    mypy, mypy_grpc = _plugin('protoc-gen-mypy'), _plugin('protoc-gen-mypy_grpc')
    _protoc(f'--descriptor_set_out={descriptors}', f'--python_out={out}', *every_file)
    _protoc(f'--plugin=protoc-gen-mypy={mypy}', f'--mypy_out=quiet:{out}', *every_file)
    _protoc(f'--grpc_python_out={out}', SERVICE)
    _protoc(f'--plugin=protoc-gen-mypy_grpc={mypy_grpc}', f'--mypy_grpc_out=quiet:{out}', SERVICE)


def _protoc(*arguments: str) -> None:
    command = [sys.executable, '-m', 'grpc_tools.protoc', f'--proto_path={PROTO}', *arguments]
    status = subprocess.run(command, check=False, timeout=_PROTOC_SECONDS).returncode
    if status:
        raise GenerationError(f'protoc ended with status {status}; what it did not like is told above')


def _plugin(name: str) -> str:
    path = shutil.which(name, path=sysconfig.get_path('scripts'))
    if path is None:
        raise GenerationError(f'{name} is not in {sysconfig.get_path("scripts")}: install mypy-protobuf anew')
    return path


def _polish(name: str, text: str) -> str:
    """Puts a module where it lives: protoc takes the folder of the .proto files for the root of all packages."""
    text = re.sub(r'^import (\w+_pb2)( as \w+)?$', rf'from {PACKAGE} import \1\2', text, flags=re.MULTILINE)
    # The module that message classes say they are of: pickle looks them up there.
    text = re.sub(r"(BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')(\w+_pb2')", rf'\1{PACKAGE}.\2', text)
    # A service need not implement every method: what it leaves out answers UNIMPLEMENTED. The plugin says otherwise.
    text = re.sub(r'^ *@_abc_1\.abstractmethod\n', '', text, flags=re.MULTILINE)
    left = re.search(r'^import \w+_pb2.*$', text, re.MULTILINE)
    if left:
        raise GenerationError(f'{name}: {left.group()!r} is not changed into an import from {PACKAGE}: see _polish')
    return text


def _names(descriptors: Path) -> str:
    """The text of protos.py: every message, enum and enum value by name, where type checkers see them too."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    imports = []
    exported: list[str] = []
    for file in FileDescriptorSet.FromString(descriptors.read_bytes()).file:
        names = [message.name for message in file.message_type]
        for enum in file.enum_type:
            names += [enum.name, *(value.name for value in enum.value)]
        exported += names
        module = file.name.replace('.proto', '_pb2')
        imports.append(f'from {PACKAGE}.{module} import (\n{_indented(sorted(names, key=_order_of_imports))})\n')
    return (
        '"""Every message, enum and enum value of the wire contract, in one place.\n\n'
        'Made by `make gen-proto`, like the modules that it imports.\n"""\n\n'
        f'{"".join(sorted(imports))}\n__all__ = [\n{_indented(map(repr, sorted(exported, key=_order_of_all)))}]\n'
    )


def _indented(names: Iterable[str]) -> str:
    return ''.join(f'    {name},\n' for name in names)


# Both as ruff has it, which sees to it that hand-written and generated modules look the same.
def _order_of_imports(name: str) -> tuple[bool, str]:
    return not name.isupper(), name.lower()


def _order_of_all(name: str) -> tuple[bool, str]:
    return not name.isupper(), name


def _versions(made: Path) -> str:
    """The text of GENERATED_BY: what made these stubs, and so what they ask of those who import them."""
    source = (made / SERVICE.replace('.proto', '_pb2.py')).read_text(encoding='utf-8')
    gencode = re.search(r'^# Protobuf Python Version: (\d+)\.(\S+)$', source, re.MULTILINE)
    if gencode is None:
        raise GenerationError(f'protoc wrote no protobuf version at the top of {SERVICE}: see _versions')
    major, release = gencode.groups()
    lines = [
        'protos.py and the *_pb2* modules beside it were made from proto/*.proto by `make gen-proto`, with',
        *(f'{name} {version}' for name, version in pins().items()),
        f'protoc {release}',
        f'protobuf gencode {major}.{release}',
    ]
    return '\n'.join(lines) + '\n'


def main() -> int:
    """Runs the generation from the command line."""
    parser = argparse.ArgumentParser(description='Makes the Python stubs of proto/*.proto.')
    parser.add_argument('--out', type=Path, default=INTERNAL, help='the folder to write to (default: the source tree)')
    out = parser.parse_args().out
    try:
        out.mkdir(parents=True, exist_ok=True)
        generate(out)
    except GenerationError as error:
        print(f'gen_proto: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
