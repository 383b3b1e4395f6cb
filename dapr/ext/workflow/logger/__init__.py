"""Logging of runtimes and clients."""

from __future__ import annotations

from dapr.ext.workflow.logger.logger import Logger
from dapr.ext.workflow.logger.options import LoggerOptions

__all__ = ['Logger', 'LoggerOptions']
