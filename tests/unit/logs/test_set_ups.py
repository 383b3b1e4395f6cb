"""What a run prints, whatever logging an app sets up, and whenever: each line once, and where the app wants it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent.parent

MAKE = """
from dapr.ext.workflow import DaprWorkflowClient, WorkflowRuntime
runtimes = [WorkflowRuntime(), WorkflowRuntime()]
"""
LOG = """
from dapr.ext.workflow._durabletask.internal.shared import get_logger
worker = get_logger('worker')
worker.debug('a detail')
worker.info('an event')
worker.warning('a warning')
"""
BASIC = "import logging; logging.basicConfig(format='app %(name)s %(levelname)s %(message)s', level='INFO')"
FORMER = "import logging; old = logging.getLogger('durabletask-worker')"


def run(*parts: str) -> list[str]:
    """What a process prints on stderr that does these one after the other."""
    script = '\n'.join(textwrap.dedent(part) for part in parts)
    ended = subprocess.run(
        [sys.executable, '-c', script], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr.splitlines()


def words(lines: list[str]) -> list[str]:
    """The lines without date and time."""
    return [line.split(' ', 2)[2] for line in lines]


OURS = ['dapr.workflow.worker INFO: an event', 'dapr.workflow.worker WARNING: a warning']
THE_APPS = ['app dapr.workflow.worker INFO an event', 'app dapr.workflow.worker WARNING a warning']


def test_an_app_that_sets_up_nothing_sees_events_on_stderr_once() -> None:
    assert words(run(MAKE, LOG)) == OURS


@pytest.mark.parametrize('parts', [(BASIC, MAKE, LOG), (MAKE, BASIC, LOG)], ids=['before', 'after'])
def test_basic_config_takes_the_records_before_the_runtime_is_made_or_after(parts: tuple[str, ...]) -> None:
    assert run(*parts) == THE_APPS


DICT_CONFIG = """
import logging.config
logging.config.dictConfig({
    'version': 1,
    'formatters': {'line': {'format': 'app %(name)s %(levelname)s %(message)s'}},
    'handlers': {'stderr': {'class': 'logging.StreamHandler', 'formatter': 'line'}},
    WHERE
})
"""
AT_ROOT = DICT_CONFIG.replace('WHERE', "'root': {'level': 'INFO', 'handlers': ['stderr']},")
AT_OURS = DICT_CONFIG.replace('WHERE', "'loggers': {'dapr.workflow': {'level': 'INFO', 'handlers': ['stderr']}},")
AT_FORMER = DICT_CONFIG.replace(
    'WHERE', "'loggers': {'durabletask-worker': {'level': 'INFO', 'handlers': ['stderr'], 'propagate': False}},"
)


@pytest.mark.parametrize('config', [AT_ROOT, AT_OURS, AT_FORMER], ids=['root', 'ours', 'former name'])
def test_dict_config_takes_the_records_wherever_it_has_its_handler(config: str) -> None:
    # It disables the loggers that exist by default: none of ours does before its first record.
    assert run(MAKE, config, LOG) == THE_APPS


def test_uvicorn_sets_up_its_own_loggers_alone() -> None:
    uvicorns = DICT_CONFIG.replace(
        'WHERE',
        "'disable_existing_loggers': False, 'loggers': {'uvicorn': {'handlers': ['stderr'], 'propagate': False}},",
    )
    assert words(run(MAKE, uvicorns, LOG)) == OURS


def test_structlog_renders_our_records_as_its_own() -> None:
    pytest.importorskip('structlog')
    config = """
        import logging, structlog
        formatter = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()
            ],
        )
        handler = logging.StreamHandler()
        handler.setFormatter(formatter)
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel('INFO')
    """
    assert [json.loads(line) for line in run(MAKE, config, LOG)] == [
        {'event': 'an event', 'level': 'info'},
        {'event': 'a warning', 'level': 'warning'},
    ]


def test_a_level_on_either_name_has_its_effect() -> None:
    assert words(run(MAKE, FORMER, "old.setLevel('WARNING')", LOG)) == OURS[1:]
    assert words(run(MAKE, "import logging; logging.getLogger('dapr.workflow').setLevel('ERROR')", LOG)) == []
    assert run(BASIC, MAKE, FORMER, "old.setLevel('DEBUG')", LOG)[0] == 'app dapr.workflow.worker DEBUG a detail'
    assert run(MAKE, FORMER, 'old.disabled = True', LOG) == []


def test_handlers_and_filters_of_the_former_name_have_their_effect() -> None:
    assert run(MAKE, FORMER, 'old.addHandler(logging.StreamHandler())', LOG) == ['a warning']
    dropping = "old.addFilter(lambda record: record.levelname != 'INFO')"
    assert run(BASIC, MAKE, FORMER, dropping, LOG) == THE_APPS[1:]


def test_a_stream_has_each_record_once_though_two_handlers_write_to_it() -> None:
    asked = """
        from dapr.ext.workflow import WorkflowRuntime
        from dapr.ext.workflow.logger import LoggerOptions
        import logging
        for _ in range(2):
            WorkflowRuntime(logger_options=LoggerOptions(log_formatter=logging.Formatter('asked %(message)s')))
    """
    assert run(BASIC, asked, LOG) == ['asked an event', 'asked a warning']


def test_json_is_one_object_for_each_record() -> None:
    asked = """
        from dapr.ext.workflow import WorkflowRuntime
        from dapr.ext.workflow.logger import LoggerOptions
        WorkflowRuntime(logger_options=LoggerOptions('WARNING', json=True))
    """
    failing = """
        try:
            raise ValueError('no')
        except ValueError:
            worker.exception('an error', extra={'order': 5})
    """
    warning, error = (json.loads(line) for line in run(asked, LOG, textwrap.dedent(failing)))
    assert warning.pop('time').endswith('+00:00')
    assert warning == {'level': 'WARNING', 'logger': 'dapr.workflow.worker', 'message': 'a warning'}
    assert error['order'] == 5
    assert error['exception'].endswith('ValueError: no')
