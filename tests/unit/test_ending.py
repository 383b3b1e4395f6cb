"""A command ends when it is told to, whichever moment and whichever thread the signal meets."""

from __future__ import annotations

import signal
import threading

import pytest

from dapr.ext.workflow._ending import EndSignals

DEADLINE = 10.0
pytestmark = pytest.mark.skipif(not hasattr(signal, 'pthread_kill'), reason='sends a signal to a thread')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_before_the_wait_ends_it(number: signal.Signals) -> None:
    with EndSignals() as ending:
        assert not ending.came
        signal.raise_signal(number)
        assert ending.came
        ending.wait()


def test_a_signal_that_meets_another_thread_ends_the_wait() -> None:
    # What Python does about a signal, the main thread does; this one does not wake it.
    begin, told_twice = threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def tell() -> None:
        begin.wait(DEADLINE)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        if not told_twice.wait(DEADLINE):
            told_twice.set()
            signal.pthread_kill(main, signal.SIGTERM)

    with EndSignals() as ending:
        thread = threading.Thread(target=tell)
        thread.start()
        begin.set()
        ending.wait()
        ended_by_the_first = not told_twice.is_set()
        told_twice.set()
        thread.join(DEADLINE)
    assert ended_by_the_first


def test_what_was_there_before_is_there_again() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with EndSignals():
        assert signal.getsignal(signal.SIGINT) is not handlers[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    fd = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(fd)
    assert fd == -1
