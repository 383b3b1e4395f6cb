"""Where log records of runtimes and clients go, and which."""

from __future__ import annotations

import logging
from typing import Final

from dapr.ext.workflow._durabletask.internal.log_formats import JsonFormatter, LineFormatter

__all__ = ['LoggerOptions']


class LoggerOptions:
    """Where log records go, and which.

    Without a handler, a formatter and `json`, records go where the app's own logging takes them, and to stderr where it
    takes them nowhere.

    Args:
        log_level: The least level that is logged, as a number or a name. None (default): INFO.
        log_handler: Where records go. None (default): stderr.
        log_formatter: Their format. None (default): that of the handler, else time, logger, level and message.
        json: Whether records are written as JSON, one object in a line; a formatter counts more. Default: no.
    """

    def __init__(
        self,
        log_level: int | str | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
        *,
        json: bool = False,
    ) -> None:
        self.log_level: int | str = logging.INFO if log_level is None else log_level
        self.has_own_handler: Final = log_handler is not None or log_formatter is not None or json
        self.log_handler: logging.Handler = log_handler or logging.StreamHandler()
        self.log_formatter: logging.Formatter = (
            log_formatter or (JsonFormatter() if json else self.log_handler.formatter) or LineFormatter()
        )
