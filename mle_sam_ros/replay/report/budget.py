"""The time that a vehicle has for a frame, and whether it was enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.replay.score.evaluation import Moment


@dataclass(frozen=True)
class Budget:
    """What a frame may take: the camera's period. A node that needs longer skips frames.

    Attributes:
        period_ms: between two frames of the camera, on average.
    """

    period_ms: float

    def share(self, duration_ms: float) -> float:
        """Part of the budget that a duration takes; above 1 it is exceeded."""
        return duration_ms / self.period_ms

    def is_met(self, latency: Mapping[str, Any]) -> bool:
        """Whether 95 of 100 frames keep to it."""
        return latency['total']['p95'] <= self.period_ms


def budget_of(metrics: Mapping[str, Any], moments: Sequence[Moment]) -> Budget | None:
    """The budget of a drive, or the mean one of a fleet; None with fewer than two frames.

    Args:
        metrics: content of `metrics.json`.
        moments: of the drive; none of a fleet.
    """
    frames = metrics['frames']
    count = frames['received'] + frames['without_camera']
    if moments:
        stamps_ns = [moment.stamp_ns for moment in moments]
        count, seconds = count - 1, (max(stamps_ns) - min(stamps_ns)) / 1e9
    else:
        seconds = sum(bag['seconds'] for bag in metrics['bags'])
    return Budget(1000 * seconds / count) if count > 0 and seconds > 0 else None
