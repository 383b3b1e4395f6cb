"""What workflows and activities log: their loggers, and the call that a record is of.

A workflow's code runs again in each replay, and would log again. A logger that is *replay-safe* is silent then, and
says so when it is asked whether it is enabled, so that nobody works out what would not be logged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from dapr.ext.workflow._durabletask.internal.logging import ROOT_NAME, workflow_logger

if TYPE_CHECKING:
    _Adapter = logging.LoggerAdapter['logging.Logger | logging.LoggerAdapter[Any]']
else:
    _Adapter = logging.LoggerAdapter

WORKFLOW_LOGGER: Final = workflow_logger(f'{ROOT_NAME}.workflow', 'DaprWorkflowContext')
ACTIVITY_LOGGER: Final = workflow_logger(f'{ROOT_NAME}.activity')


class Call(Protocol):
    """The execution of a workflow, or of an activity, that code runs in."""

    @property
    def is_replaying(self) -> bool:
        """Whether what runs now has run before; never so in an activity."""

    def log_fields(self) -> Mapping[str, object]:
        """What tells it from others in a log: some of `log_formats.CALL_FIELDS`."""


# Set in the context of each workflow and of each activity, so that filters can find it wherever code logs.
current_call: Final[ContextVar[Call | None]] = ContextVar('dapr_workflow_call', default=None)


class CallLogger(_Adapter):
    """A logger whose records say which call they are of, and which is silent while that call is replayed.

    Args:
        logger: Where records go.
        call: The call.
    """

    def __init__(self, logger: logging.Logger | logging.LoggerAdapter[Any], call: Call) -> None:
        super().__init__(logger, {})
        self._call = call

    def isEnabledFor(self, level: int) -> bool:
        return not self._call.is_replaying and self.logger.isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs['extra'] = {**self._call.log_fields(), **(kwargs.get('extra') or {})}
        return msg, kwargs


class ReplaySafeFilter(logging.Filter):
    """Makes any logger, or any handler, replay-safe: records of workflows that are replaying are dropped, all others
    pass. Records of a workflow or an activity are also given the fields that its `ctx.logger` has.

    For loggers that workflow code uses through other modules:
    `logging.getLogger('shop').addFilter(ReplaySafeFilter())`. A logger's filters see what is logged on that very
    logger; put it on a handler to cover all that the handler takes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        call = current_call.get()
        if call is None:
            return True
        if call.is_replaying:
            return False
        for name, value in call.log_fields().items():
            vars(record).setdefault(name, value)
        return True
