"""What belongs to one instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Sample:
    """What one stream contributes to an instant.

    Attributes:
        stamp_ns: when, on the sensor's own clock; of a window, its end.
        payload: the message or, of a window of events, `core.events.Events`.
    """

    stamp_ns: int
    payload: Any


@dataclass(frozen=True)
class SensorSet:
    """The samples of one instant.

    Attributes:
        stamp_ns: the camera's stamp, or the stamp it would have had while it is silent.
        reference_ns: the instant itself: the stamp moved by the camera's offset.
        samples: stream to sample; absent streams are left out.
        ages_ns: stream to `reference_ns - (sample's stamp + stream's offset)`; negative where the
            sample is younger than the instant. Of a window: how much of its end was never seen.
    """

    stamp_ns: int
    reference_ns: int
    samples: Mapping[str, Sample]
    ages_ns: Mapping[str, int]

    @property
    def present(self) -> frozenset[str]:
        """The streams that have a sample."""
        return frozenset(self.samples)
