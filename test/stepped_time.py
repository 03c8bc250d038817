"""A time that passes where somebody sleeps, and nowhere else."""

from collections.abc import Callable
import time


class SteppedTime:
    """In the place of the module `time` of what plays or waits.

    However long the machine stands still, whoever sleeps has slept exactly as long as it asked to.
    """

    def __init__(self, after_sleep: Callable[[], object] = lambda: None) -> None:
        """Start; `after_sleep` is called before time goes on, to wait for those who listen."""
        self._now_s = 1000.0
        self._after_sleep = after_sleep

    def monotonic(self) -> float:
        """In seconds, as `time.monotonic`."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, and at least as much of the clock on the wall."""
        time.sleep(seconds)
        self._after_sleep()
        self._now_s += seconds
