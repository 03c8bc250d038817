import os
import signal

from mle_sam.interruption import Interruption
import pytest


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_wish(number):
    before = signal.getsignal(number)
    with Interruption() as interruption:
        assert not interruption.is_requested
        os.kill(os.getpid(), number)
        assert interruption.is_requested
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait():
    with Interruption():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
