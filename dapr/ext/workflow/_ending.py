"""When a command is told to end: by Ctrl-C or SIGTERM, at whichever moment they come.

Python runs the handler of a signal between two steps of the main thread. A signal that comes after the last step before
that thread goes to sleep would be heard only once something else wakes it. So the signals are also written to a socket,
as they come and by whichever thread they meet (`signal.set_wakeup_fd`), and the wait is a read of that socket.
"""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from typing_extensions import Self

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class EndSignals:
    """Ctrl-C and SIGTERM, for as long as it is entered; only in the main thread, one at a time.

    They interrupt nothing: who uses it waits for them, or looks now and then.
    """

    def __init__(self) -> None:
        self._came = False

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._previous: list[Any] = [signal.signal(number, self._on_signal) for number in _SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(_SIGNALS, self._previous, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._reader.close()
        self._writer.close()

    @property
    def came(self) -> bool:
        """Whether one of them has come."""
        return self._came

    def wait(self) -> None:
        """Waits until one of them comes; not at all when one has come."""
        while not self._came and not set(_SIGNALS).intersection(self._reader.recv(64)):
            pass

    def _on_signal(self, *_: object) -> None:
        self._came = True
