"""Ctrl-C while foreign code runs that calls back."""

from collections.abc import Iterator
from contextlib import contextmanager
import signal
import threading


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM, and deliver them at the end.

    Else the KeyboardInterrupt would be raised in whatever the foreign code calls, and fly through
    it. Outside the main thread, which alone gets signals, nothing is collected.

    Yields:
        the signals that came so far; the foreign code is to be stopped when there is one.
    """
    caught: list[int] = []
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not None:  # else it is not Python's
                previous[number] = signal.signal(number, lambda n, frame: caught.append(n))
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if caught:
            signal.raise_signal(caught[0])
