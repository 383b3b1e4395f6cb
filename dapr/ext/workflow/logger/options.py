"""Where log records of runtimes and clients go, and which."""

from __future__ import annotations

import logging
from typing import Final

__all__ = ['LoggerOptions']

_FORMAT: Final = '%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s'
_DATE_FORMAT: Final = '%Y-%m-%d %H:%M:%S'


class LoggerOptions:
    """Where log records go, and which.

    Args:
        log_level: The least level that is logged, as a number or a name. None (default): INFO.
        log_handler: Where records go. None (default): stderr.
        log_formatter: Their format. None (default): that of the handler, else time, logger, level and message.
    """

    def __init__(
        self,
        log_level: int | str | None = None,
        log_handler: logging.Handler | None = None,
        log_formatter: logging.Formatter | None = None,
    ) -> None:
        self.log_level: int | str = logging.INFO if log_level is None else log_level
        self.has_own_handler: Final = log_handler is not None
        self.log_handler: logging.Handler = log_handler or logging.StreamHandler()
        self.log_formatter: logging.Formatter = (
            log_formatter or self.log_handler.formatter or logging.Formatter(_FORMAT, _DATE_FORMAT)
        )
