"""The loggers of the engine and of the API: `dapr.workflow.worker`, `.client`, `.runtime`, `.workflow`, `.activity`.

What an app sets on them, or on `dapr.workflow` above them, has the effect that it always has. Two things are added:

- **Former names.** Earlier engines logged as `durabletask-worker`, `WorkflowRuntime` and the like, and apps have set
  levels, handlers and filters on these. A logger of the former name counts as the child of the new one: what is set
  on it comes first, `propagate = False` and `disabled` included.
- **No handler is added.** Where no handler at all would take a record, it goes to stderr from INFO on, as `logging`'s
  own last resort does from WARNING on. It is decided for each record, so an app may set up its logging at any time,
  before the runtime is made or after: nothing is printed twice, and nothing of ours is in its way.

A record goes to each handler once, and to each plain stream once, whichever of the loggers has a handler for it.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from dapr.ext.workflow._durabletask.internal.log_formats import LineFormatter

ROOT_NAME: Final = 'dapr.workflow'
# What went by a name of its own in earlier versions, and the name that it logs under now.
CURRENT_NAMES: Final = {
    'WorkflowRuntime': 'dapr.workflow.runtime',
    'DaprWorkflowClient': 'dapr.workflow.client',
    'DaprWorkflowContext': 'dapr.workflow.workflow',
}
_adding = Lock()


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[Any]
else:  # until Python 3.10 it takes no parameter when it runs
    _StreamHandler = logging.StreamHandler


class _Stderr(_StreamHandler):
    """Writes to what stderr is at that moment."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)  # StreamHandler's own would set the stream
        self.setFormatter(LineFormatter())

    @property
    def stream(self) -> Any:
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        if sys.stderr is not None:  # there is none in a process without a console
            super().emit(record)


_last_resort: Final = _Stderr()


class WorkflowLogger(logging.Logger):
    """Logs under a name, with what was set on its former name; see the module for the rules.

    It is no logger of the `logging` module's registry and holds nothing that apps set: that stands in the registered
    loggers of the two names, which are looked up when the first record is due. So they are none that existed before
    when the app calls `dictConfig`, which disables those by default.

    Args:
        name: The name that records have.
        former: The name that the same records had in earlier versions. None (default): none.
    """

    def __init__(self, name: str, former: str | None = None) -> None:
        super().__init__(name)
        self._former_name = former
        self._registered: tuple[logging.Logger, ...] = ()

    def _own(self) -> tuple[logging.Logger, ...]:
        """The registered loggers of the former name, if there is one, and of the name."""
        own = self._registered
        if not own:
            names = (self.name,) if self._former_name is None else (self._former_name, self.name)
            own = self._registered = tuple(logging.getLogger(name) for name in names)
        return own

    def isEnabledFor(self, level: int) -> bool:
        own = self._own()
        for logger in own[:-1]:
            if logger.disabled:
                return False
            if logger.level:
                return level >= logger.level and self.manager.disable < level
        return own[-1].isEnabledFor(level) or (logging.INFO <= level < logging.WARNING and self._is_unheard(level))

    def getEffectiveLevel(self) -> int:
        own = self._own()
        level = own[0].level or own[-1].getEffectiveLevel()
        return logging.INFO if level == logging.WARNING and self._is_unheard(logging.INFO) else level

    def handle(self, record: logging.LogRecord) -> None:
        for logger in self._own():
            passed: Any = False if logger.disabled else logger.filter(record)
            if not passed:
                return
            if isinstance(passed, logging.LogRecord):  # filters may replace it, from Python 3.12 on
                record = passed
            if not logger.propagate:
                break
        heard = False
        reached: set[int] = set()
        for handler in self._handlers():
            heard = True
            # By their streams where they are plain ones: subclasses may do anything with a stream.
            place = id(handler.stream) if type(handler) is logging.StreamHandler else id(handler)
            if place not in reached and record.levelno >= handler.level:
                reached.add(place)
                handler.handle(record)
        if not heard and record.levelno >= logging.INFO and self._propagates():
            _last_resort.handle(record)

    def hasHandlers(self) -> bool:
        return next(self._handlers(), None) is not None

    # What is done to this object is done to the registered one.

    def setLevel(self, level: int | str) -> None:
        self._own()[-1].setLevel(level)

    def addHandler(self, hdlr: logging.Handler) -> None:
        self._own()[-1].addHandler(hdlr)

    def removeHandler(self, hdlr: logging.Handler) -> None:
        for logger in self._own():
            logger.removeHandler(hdlr)

    def addFilter(self, filter: Any) -> None:
        self._own()[-1].addFilter(filter)

    def _handlers(self) -> Iterator[logging.Handler]:
        """The handlers that records reach, from the former name up to the root."""
        chain: logging.Logger | None = None
        for chain in self._own():
            yield from chain.handlers
            if not chain.propagate:
                return
        chain = None if chain is None else chain.parent
        while chain is not None:
            yield from chain.handlers
            chain = chain.parent if chain.propagate else None

    def _propagates(self) -> bool:
        # Who keeps records from going up, and takes them nowhere, wants none.
        return all(logger.propagate for logger in self._own())

    def _is_unheard(self, level: int) -> bool:
        """Whether the app has set up nothing for these records: no handler, and no level."""
        if self.manager.disable >= level or any(logger.disabled for logger in self._own()) or self.hasHandlers():
            return False
        chain: logging.Logger | None = self._own()[-1]
        while chain is not None and chain.parent is not None:
            if chain.level:
                return False
            chain = chain.parent
        return chain is not None and chain.level == logging.WARNING  # the root's, if no one has changed it


@cache
def workflow_logger(name: str, former: str | None = None) -> WorkflowLogger:
    """The logger of a name, and of a former name if it has one: one object for each."""
    return WorkflowLogger(name, former)


def get_logger(
    name_suffix: str,
    log_handler: logging.Handler | None = None,
    log_formatter: logging.Formatter | None = None,
) -> WorkflowLogger:
    """The logger `dapr.workflow.<name_suffix>`, shared by all that ask for the same suffix.

    Its former name is `durabletask-<name_suffix>`. Without a handler and a formatter nothing is added to it.

    Args:
        name_suffix: Which part of the engine logs: 'worker' or 'client'.
        log_handler: Where the records are to go. None (default), with a formatter: stderr.
        log_formatter: The handler's format. None (default): the one that the handler has, else `LineFormatter`.
    """
    logger = workflow_logger(f'{ROOT_NAME}.{name_suffix}', f'durabletask-{name_suffix}')
    if log_handler is not None or log_formatter is not None:
        add_handler(logging.getLogger(logger.name), log_handler or logging.StreamHandler(), log_formatter)
    return logger


def add_handler(logger: logging.Logger, handler: logging.Handler, formatter: logging.Formatter | None = None) -> None:
    """Adds a handler that the caller has asked for, once: neither itself again, nor a second one for its stream.

    Args:
        logger: The logger.
        handler: The handler. One that is there for the same stream makes room for it.
        formatter: Its format. None (default): the one that it has, else `LineFormatter`.
    """
    with _adding:
        if formatter is not None:
            handler.setFormatter(formatter)
        elif handler.formatter is None:
            handler.setFormatter(LineFormatter())
        for present in list(logger.handlers):
            if present is not handler and _is_same_place(present, handler):
                logger.removeHandler(present)
        logger.addHandler(handler)


def set_level(level: int | str) -> None:
    """Has all loggers of ours take records from this level on, whichever handlers they have; a level that is set on
    one of them, or on its former name, counts more."""
    logging.getLogger(ROOT_NAME).setLevel(level)


def _is_same_place(one: logging.Handler, other: logging.Handler) -> bool:
    # Subclasses are left alone: they may do anything with a stream (FileHandler is one).
    return (
        type(one) is logging.StreamHandler
        and type(other) is logging.StreamHandler
        and one.stream is other.stream
        and one.level == other.level
        and one.filters == other.filters
    )
