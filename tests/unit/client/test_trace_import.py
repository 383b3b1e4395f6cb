"""OpenTelemetry may be imported by one thread while another makes a call."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import importlib.abc, importlib.machinery, sys, threading
from dapr.ext.workflow._durabletask.clients import requests

begun, go_on = threading.Event(), threading.Event()

class Slow(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        if name in ('opentelemetry', 'opentelemetry.trace'):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        if module.__name__ == 'opentelemetry.trace':
            begun.set()
            assert go_on.wait(20)
            module.get_current_span = lambda: Span

class Span:
    @staticmethod
    def get_span_context():
        return type('Context', (), {'is_valid': False})

sys.meta_path.insert(0, Slow())
importing = threading.Thread(target=lambda: __import__('opentelemetry.trace'))
importing.start()
assert begun.wait(20)
threading.Timer(0.05, go_on.set).start()
requests.schedule('w', input=None, instance_id='i', start_at=None, enforce_unique_instance_id=False, app_id=None)
print('scheduled')
"""


def test_a_call_waits_for_an_import_that_another_thread_has_begun() -> None:
    done = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.stdout == 'scheduled\n', done.stderr
