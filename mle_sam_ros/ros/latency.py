"""How long everything takes, over the last frames."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
import threading
import time

import numpy as np

_NUM_FRAMES = 600


class Stopwatch:
    """Durations by stage, in milliseconds; written by one thread, read by another."""

    def __init__(self) -> None:
        self._durations_ms: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str, milliseconds: float) -> None:
        """Note a duration."""
        with self._lock:
            durations = self._durations_ms.setdefault(stage, deque(maxlen=_NUM_FRAMES))
            durations.append(milliseconds)

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Note how long the block takes, if it ends without an error."""
        start_s = time.perf_counter()
        yield
        self.add(stage, (time.perf_counter() - start_s) * 1e3)

    def latest(self) -> dict[str, float]:
        """Stage to its last duration, milliseconds."""
        with self._lock:
            return {stage: values[-1] for stage, values in self._durations_ms.items()}

    def percentiles(self) -> dict[str, tuple[float, float, float]]:
        """Stage to (p50, p95, p99) of its last 600 durations, milliseconds."""
        with self._lock:
            durations_ms = {stage: list(values) for stage, values in self._durations_ms.items()}
        return {
            stage: tuple(np.percentile(values, (50, 95, 99)).tolist())
            for stage, values in durations_ms.items()
        }
