"""The engine's loggers."""

from __future__ import annotations

import logging
from threading import Lock
from typing import Final

_PREFIX: Final = 'durabletask'
_FORMAT: Final = '%(asctime)s.%(msecs)03d %(name)s %(levelname)s: %(message)s'
_DATE_FORMAT: Final = '%Y-%m-%d %H:%M:%S'

_adding = Lock()


def get_logger(
    name_suffix: str,
    log_handler: logging.Handler | None = None,
    log_formatter: logging.Formatter | None = None,
) -> logging.Logger:
    """The logger `durabletask-<name_suffix>`, shared by all that ask for the same suffix.

    Asking again adds nothing that is there: neither the same handler, nor a plain StreamHandler for a stream that has
    one (the newer takes the older's place). Without a handler of the caller's, and when the app has set up no logging
    that would take the records, one for stderr is added.

    Args:
        name_suffix: Which part of the engine logs: 'worker' or 'client'.
        log_handler: Where the records are to go, or None.
        log_formatter: The handler's format. None: the one that the handler has, else time, logger, level and message.
    """
    logger = logging.getLogger(f'{_PREFIX}-{name_suffix}')
    with _adding:
        handler = log_handler
        if handler is None:
            if logger.hasHandlers() and log_formatter is None:
                return logger
            handler = logging.StreamHandler()
        if log_formatter is not None:
            handler.setFormatter(log_formatter)
        elif handler.formatter is None:
            handler.setFormatter(logging.Formatter(_FORMAT, _DATE_FORMAT))
        for present in list(logger.handlers):
            if present is not handler and _is_same_place(present, handler):
                logger.removeHandler(present)
        logger.addHandler(handler)
    return logger


def set_level(level: int | str) -> None:
    """Has the engine's loggers take records from this level on, whichever handlers they have."""
    for suffix in ('worker', 'client'):
        logging.getLogger(f'{_PREFIX}-{suffix}').setLevel(level)


def _is_same_place(one: logging.Handler, other: logging.Handler) -> bool:
    # Subclasses are left alone: they may do anything with a stream (FileHandler is one).
    return (
        type(one) is logging.StreamHandler
        and type(other) is logging.StreamHandler
        and one.stream is other.stream
        and one.level == other.level
        and one.filters == other.filters
    )
