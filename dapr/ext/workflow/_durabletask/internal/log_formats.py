"""Formats of log records: a line for people, JSON for machines. Both tell of which call a record is."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from typing import Any, Final

# What the records of a workflow or an activity have beside the usual; `call_logging` puts it there.
CALL_FIELDS: Final = ('workflow_name', 'activity_name', 'instance_id', 'execution_id', 'task_id', 'attempt')

_LINE: Final = '%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s'
_DATE: Final = '%Y-%m-%d %H:%M:%S'
# What every record has. The rest is what its author has given as `extra`.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {'message', 'asctime', 'taskName', 'color_message'}


class LineFormatter(logging.Formatter):
    """Time, logger, level and message in a line, and in brackets the call that logged it, where there is one."""

    def __init__(self) -> None:
        super().__init__(_LINE, _DATE)

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        fields = vars(record)
        call = ', '.join(f'{name}={fields[name]}' for name in CALL_FIELDS if fields.get(name) not in (None, ''))
        return f'{line} [{call}]' if call else line


class JsonFormatter(logging.Formatter):
    """One JSON object in a line: `time` (ISO 8601, UTC), `level`, `logger`, `message`; `exception` and `stack` where
    there are any; and all that the record was given as `extra`, under its own names."""

    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, Any] = {
            'time': datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec='milliseconds'),
            'level': record.levelname,
            'logger': record.name,
            'message': record.getMessage(),
        }
        if record.exc_info:
            content['exception'] = self.formatException(record.exc_info)
        if record.stack_info:
            content['stack'] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in content and value is not None:
                content[name] = value
        return json.dumps(content, default=str, skipkeys=True)
