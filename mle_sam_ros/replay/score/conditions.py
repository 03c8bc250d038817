"""What held when during a drive: weather and light, failures of sensors, injected faults."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
import re
from typing import Any

# How a simulated drive notes its episodes: `over_exposure:3:8`, to `inf` where it never ends.
_EPISODE = re.compile(r'([a-z_]+):([0-9]+\.?[0-9]*):([0-9]+\.?[0-9]*|inf)')


@dataclass(frozen=True)
class Span:
    """Something that holds for a part of a drive.

    Attributes:
        kind: `condition`, `failure` (of a sensor, noted by whoever recorded), `outage` (noted,
            too), `injected`, `absent` (a sensor) or `no_mask`.
        name: of the condition, failure, fault or sensor.
        from_s: when it begins, seconds since the recording's first message.
        to_s: when it is over; not part of it.
    """

    kind: str
    name: str
    from_s: float = 0.0
    to_s: float = math.inf

    def covers(self, time_ns: int) -> bool:
        """Whether a time of the drive, nanoseconds since its first message, falls into it."""
        return self.from_s * 1e9 <= time_ns < self.to_s * 1e9

    def to_mapping(self, seconds: float) -> dict[str, Any]:
        """An entry of the timeline of a drive that lasts so long."""
        return {
            'kind': self.kind,
            'name': self.name,
            'from_s': round(max(self.from_s, 0.0), 6),
            'to_s': round(min(self.to_s, seconds), 6),
        }


class Conditions:
    """Tells the conditions of a frame by its stamp.

    Attributes:
        spans: all that is known.
        start_ns: log time of the recording's first message.
    """

    def __init__(self, spans: Iterable[Span] = (), start_ns: int = 0) -> None:
        """Set up."""
        self.spans = tuple(spans)
        self.start_ns = start_ns

    @property
    def names(self) -> tuple[str, ...]:
        """Of all conditions, in order."""
        return tuple(sorted({span.name for span in self.spans}))

    def at(self, stamp_ns: int) -> tuple[str, ...]:
        """Names of what holds at a stamp, in order; a frame counts in each of them."""
        time_ns = stamp_ns - self.start_ns
        return tuple(sorted({span.name for span in self.spans if span.covers(time_ns)}))


def noted_spans(custom_data: Mapping[str, str]) -> tuple[Span, ...]:
    """What a recording notes of itself.

    Args:
        custom_data: of the recording: `condition` and `failure` (`none` is none) of the whole;
            `failures` and `outages` with times as `simulation.scenario` notes them. What is
            written otherwise is somebody else's note, and left alone.
    """
    spans = []
    for kind in ('condition', 'failure'):
        name = custom_data.get(kind, 'none')
        if name and name != 'none':
            spans.append(Span(kind, name))
    for kind, key in (('failure', 'failures'), ('outage', 'outages')):
        for text in custom_data.get(key, '').split():
            episode = _EPISODE.fullmatch(text)
            if episode is not None:
                name, from_s, to_s = episode.groups()
                name = f'{name}_outage' if kind == 'outage' else name
                spans.append(Span(kind, name, float(from_s), float(to_s)))
    return tuple(dict.fromkeys(spans))
