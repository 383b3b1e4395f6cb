"""The logger of runtimes and clients."""

from __future__ import annotations

import logging
from typing import Any

from dapr.ext.workflow.logger.options import LoggerOptions

__all__ = ['Logger']


class Logger:
    """Logs under a name. Loggers of the same name share handlers, and none is added twice.

    Args:
        name: The name.
        options: Where records go, and which. Default: `LoggerOptions()`.
    """

    def __init__(self, name: str, options: LoggerOptions | None = None) -> None:
        self._logger_options = options or LoggerOptions()
        self._logger = logging.getLogger(name)
        handler = self._logger_options.log_handler
        handler.setFormatter(self._logger_options.log_formatter)
        if options is not None or self._logger.level == logging.NOTSET:
            self._logger.setLevel(self._logger_options.log_level)
        if self._logger_options.has_own_handler or not self._logger.handlers:
            self._logger.addHandler(handler)

    def get_options(self) -> LoggerOptions:
        """Where records go, and which."""
        return self._logger_options

    def debug(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at DEBUG; arguments as for `logging.Logger.debug`, as for the others."""
        self._logger.debug(msg, *args, **kwargs)

    def info(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at INFO."""
        self._logger.info(msg, *args, **kwargs)

    def warning(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at WARNING."""
        self._logger.warning(msg, *args, **kwargs)

    def error(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at ERROR."""
        self._logger.error(msg, *args, **kwargs)

    def exception(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at ERROR, with the exception that is being handled."""
        self._logger.exception(msg, *args, **kwargs)

    def critical(self, msg: object, *args: Any, **kwargs: Any) -> None:
        """Logs at CRITICAL."""
        self._logger.critical(msg, *args, **kwargs)
