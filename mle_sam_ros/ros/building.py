"""What the node says while it builds its engine, which may take minutes."""

from collections.abc import Callable
import time

_PERIOD_S = 1.0


class BuildReporter:
    """Tells how far a build is, once per second; call it as a `runtime.build.Progress`."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Tell a function, in one line."""
        self._tell = tell
        self._start_s = time.monotonic()
        self._told_s = -float('inf')

    def __call__(self, stage: str, share: float) -> None:
        """Take note of the stage and of the share of the whole that is done."""
        now_s = time.monotonic()
        if now_s - self._told_s < _PERIOD_S:
            return
        self._told_s = now_s
        left = ''
        if share > 0:
            left = f', {(now_s - self._start_s) * (1 - share) / share:.0f} s left'
        self._tell(f'building the engine: {stage}, {share:.0%}{left}')
