"""Signals wait until foreign code is done."""

import signal
import threading

from mle_sam_ros.runtime.interruption import deferred_signals
import pytest


def test_ctrl_c_comes_at_the_end():
    reached = []

    def interrupted():
        with deferred_signals() as signals:
            signal.raise_signal(signal.SIGINT)
            reached.append(list(signals))

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == [[signal.SIGINT]]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_of_before_is_called():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_other_threads_get_no_signals():
    handlers = []

    def body():
        with deferred_signals() as signals:
            handlers.append((signal.getsignal(signal.SIGINT), list(signals)))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert handlers == [(signal.default_int_handler, [])]
