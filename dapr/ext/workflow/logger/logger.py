"""The logger of runtimes and clients."""

from __future__ import annotations

import logging
from typing import Any

from dapr.ext.workflow._durabletask.internal import logging as names
from dapr.ext.workflow._durabletask.internal.arguments import check
from dapr.ext.workflow.logger.options import LoggerOptions

__all__ = ['Logger']


def configure(options: LoggerOptions, logger: logging.Logger | None = None) -> None:
    """Has records logged as the options say, from now on.

    Args:
        options: Where records go, and which.
        logger: The logger. None (default): `dapr.workflow`, for all of this package.
    """
    target = logging.getLogger(names.ROOT_NAME) if logger is None else logger
    target.setLevel(options.log_level)
    if options.has_own_handler:
        names.add_handler(target, options.log_handler, options.log_formatter)


class Logger:
    """Logs under a name.

    The names of this package (`WorkflowRuntime`, `DaprWorkflowClient`, `DaprWorkflowContext`) log as
    `dapr.workflow.runtime`, `.client` and `.workflow`; what is set on loggers of the old names has effect, too. What
    options say is set on `dapr.workflow`, for all of them.

    Args:
        name: The name.
        options: Where records go, and which. None (default): where the app's logging takes them, else to stderr from
            INFO on; nothing is added to any logger.
    """

    def __init__(self, name: str, options: LoggerOptions | None = None) -> None:
        check('logger_options', options, LoggerOptions)
        self._logger_options = options or LoggerOptions()
        current = names.CURRENT_NAMES.get(name)
        self._logger: logging.Logger = names.workflow_logger(current or name, None if current is None else name)
        if options is not None:
            configure(options, logging.getLogger(name) if current is None else None)

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
