"""A distribution's files are as it has installed them, and at `dapr/ext/workflow` there is nothing beside them."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import sys
from pathlib import Path

distribution = importlib.metadata.distribution(sys.argv[1])
# Not by `Distribution.files`, which from Python 3.12 on leaves out what is gone.
record = list(csv.reader((distribution.read_text('RECORD') or '').splitlines()))
for path, hash, _ in record:
    if hash:
        digest = hashlib.sha256(Path(str(distribution.locate_file(path))).read_bytes()).digest()
        assert 'sha256=' + base64.urlsafe_b64encode(digest).rstrip(b'=').decode() == hash, path
own = {Path(str(distribution.locate_file(path))).resolve() for path, *_ in record}
folder = Path(str(distribution.locate_file('dapr/ext/workflow')))
others = [file for file in folder.rglob('*') if file.is_file() and file.suffix != '.pyc' and file.resolve() not in own]
assert not others, others
print(f'{len(record)} files of {distribution.name} {distribution.version} are whole')
