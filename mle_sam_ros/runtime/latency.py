"""How long an engine takes for one instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter

from mle_sam_ros.core.inference import Engine
import numpy as np

_NUM_WARM_UP = 5
_NUM_CALLS = (20, 200)
_SECONDS = 5.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds from the rasters to the result in host memory, over so many calls."""

    p50_ms: float
    p99_ms: float
    num_calls: int


def measure_latency(
    engine: Engine, rasters: Mapping[str, np.ndarray], present: frozenset[str]
) -> Latency:
    """Call an engine again and again: for 5 s or 200 calls, whatever comes first, at least 20."""
    for _ in range(_NUM_WARM_UP):
        engine.infer(rasters, present)
    calls_ms: list[float] = []
    fewest, most = _NUM_CALLS
    end_s = perf_counter() + _SECONDS
    while len(calls_ms) < fewest or (len(calls_ms) < most and perf_counter() < end_s):
        start_s = perf_counter()
        engine.infer(rasters, present)
        calls_ms.append(1000 * (perf_counter() - start_s))
    p50, p99 = np.percentile(calls_ms, [50, 99])
    return Latency(round(float(p50), 3), round(float(p99), 3), len(calls_ms))
