"""How long frames took: `latency.json`, apart from what repeats when a run is repeated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
import math
from typing import Any

from mle_sam_ros.core.errors import InputError

LATENCY_NAME = 'latency.json'
SCHEMA = 'mle_sam_ros/latency/1'
_PERCENTILES = (50, 95, 99)
# Bin n holds what lies from 1.01^n to 1.01^(n + 1) milliseconds.
_LOG_WIDTH = math.log(1.01)
_LEAST_MS = 1e-4


class Histogram:
    """Durations in bins that are 1 % wide, so that those of several drives add up.

    Attributes:
        counts: bin to number of durations.
    """

    def __init__(self, counts: Mapping[int, int] | None = None) -> None:
        """Start empty, or with counts."""
        self.counts: Counter[int] = Counter(counts)

    def add(self, duration_ms: float) -> None:
        """Count one; what is shorter than 0.1 µs counts as that."""
        self.counts[math.floor(math.log(max(duration_ms, _LEAST_MS)) / _LOG_WIDTH)] += 1

    def percentile_ms(self, percent: float) -> float:
        """The middle of the bin that holds it: right to half a percent."""
        rank = max(1, math.ceil(self.counts.total() * percent / 100))
        for bin_number in sorted(self.counts):
            rank -= self.counts[bin_number]
            if rank <= 0:
                return math.exp((bin_number + 0.5) * _LOG_WIDTH)
        return math.nan

    def to_mapping(self) -> dict[str, Any]:
        """Percentiles in milliseconds, and the bins."""
        percentiles = {f'p{p}': round(self.percentile_ms(p), 4) for p in _PERCENTILES}
        bins = {str(number): self.counts[number] for number in sorted(self.counts)}
        return {**percentiles, 'histogram': bins}


class Latency:
    """Durations of frames, in total and by stage.

    Attributes:
        total: from what the run took as the start to the finished mask.
        stages: by stage; `stage/part` is a part of a stage.
    """

    def __init__(self) -> None:
        """Start without frames."""
        self.total = Histogram()
        self.stages: dict[str, Histogram] = {}

    def add(self, latency_ms: float, timings_ms: Mapping[str, float]) -> None:
        """Take in a frame."""
        self.total.add(latency_ms)
        for stage, value in timings_ms.items():
            self.stages.setdefault(stage, Histogram()).add(value)

    def add_all(self, other: Latency) -> None:
        """Take in the frames of another drive."""
        self.total.counts.update(other.total.counts)
        for stage, histogram in other.stages.items():
            self.stages.setdefault(stage, Histogram()).counts.update(histogram.counts)

    def to_mapping(self) -> dict[str, Any]:
        """The content of `latency.json`; without frames `total` is None."""
        return {
            'schema': SCHEMA,
            'total': self.total.to_mapping() if self.total.counts else None,
            'stages': {stage: self.stages[stage].to_mapping() for stage in _in_order(self.stages)},
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], source: str = LATENCY_NAME) -> Latency:
        """The latency that `to_mapping` gave this mapping of.

        Raises:
            InputError: for anything else.
        """
        latency = cls()
        try:
            if mapping['schema'] != SCHEMA:
                raise ValueError(mapping['schema'])
            latency.total = _histogram(mapping['total'])
            for stage, item in mapping['stages'].items():
                latency.stages[stage] = _histogram(item)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(
                f'{source}: expected latencies of {SCHEMA}, got a fault in them '
                f'({type(error).__name__}: {str(error)[:80]}); replay the recording again'
            ) from None
        return latency


def _histogram(mapping: Mapping[str, Any] | None) -> Histogram:
    bins = {} if mapping is None else mapping['histogram']
    return Histogram({int(number): int(count) for number, count in bins.items()})


def _in_order(stages: Iterable[str]) -> list[str]:
    """Stages as they came, each followed by its parts (`stage/part`)."""
    roots = list(dict.fromkeys(stage.partition('/')[0] for stage in stages))
    return sorted(stages, key=lambda stage: roots.index(stage.partition('/')[0]))
