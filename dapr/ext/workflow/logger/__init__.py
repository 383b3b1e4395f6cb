"""Logging of runtimes and clients, and of what workflows and activities log."""

from __future__ import annotations

from dapr.ext.workflow._durabletask.call_logging import ReplaySafeFilter
from dapr.ext.workflow._durabletask.internal.log_formats import JsonFormatter
from dapr.ext.workflow.logger.logger import Logger
from dapr.ext.workflow.logger.options import LoggerOptions

__all__ = ['JsonFormatter', 'Logger', 'LoggerOptions', 'ReplaySafeFilter']
