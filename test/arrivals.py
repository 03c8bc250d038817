"""Arrivals for the tests of the assembler: a scripted clock, never a sleep."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.sensor_set import SensorSet
import numpy as np

MS = 1_000_000
SECOND = 1000 * MS
START_NS = 1_700_000_000 * SECOND


@dataclass(frozen=True)
class Arrival:
    arrival_ns: int
    stream: str
    stamp_ns: int
    payload: Any = None
    num_bytes: int = 0


def arrivals_of(stream: str, stamps_ns: Iterable[int], late_ns: int = 0) -> list[Arrival]:
    """Samples that arrive `late_ns` after their stamps; the payload names the stamp."""
    return [Arrival(stamp + late_ns, stream, stamp, (stream, stamp)) for stamp in stamps_ns]


def events_at(t_ns: Sequence[int]) -> Events:
    """One event at each of the times, its column counting up."""
    count = len(t_ns)
    return Events(
        np.arange(count, dtype=np.uint16),
        np.zeros(count, np.uint16),
        np.array(t_ns, np.int64),
        np.ones(count, np.uint8),
    )


def packet(end_ns: int, t_ns: Sequence[int], late_ns: int = 0) -> Arrival:
    """A packet of events that covers the time until `end_ns`."""
    return Arrival(end_ns + late_ns, 'event', end_ns, events_at(t_ns))


def drain(assembler: Assembler, now_ns: int) -> list[SensorSet]:
    """All sets that are due."""
    return list(iter(lambda: assembler.poll(now_ns), None))


def drive(
    assembler: Assembler, arrivals: Iterable[Arrival], end_ns: int | None = None
) -> list[SensorSet]:
    """Play arrivals in the order given, as the pipeline does; poll once more at the end."""
    sets = []
    for arrival in arrivals:
        sets += drain(assembler, arrival.arrival_ns)
        assembler.push(arrival.stream, arrival.stamp_ns, arrival.payload, arrival.num_bytes)
        assert assembler.account.balanced
    return sets if end_ns is None else sets + drain(assembler, end_ns)


def in_order(*streams: list[Arrival]) -> list[Arrival]:
    """All arrivals in order of arrival."""
    return sorted((a for stream in streams for a in stream), key=lambda a: a.arrival_ns)


def images(sets: Iterable[SensorSet]) -> list[int]:
    """Stamps of the camera frames."""
    return [item.samples['camera'].stamp_ns for item in sets if 'camera' in item.present]
