"""What can go wrong with sensors, as changes of what is delivered, and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ros_bench import camera_message, event_message, lidar_message, MS

BEFORE_MS, DURING_MS, AFTER_MS = 1000, 1500, 1500
END_MS = BEFORE_MS + DURING_MS
ALL = frozenset({'camera', 'event', 'lidar'})
_MAKERS = {'camera': camera_message, 'event': event_message, 'lidar': lidar_message}


@dataclass(frozen=True)
class Delivery:
    """One message to come: when it is sent and of what time it tells, ms after the start."""

    at_ms: float
    stream: str
    stamp_ms: float
    change: Callable[[Any], None] | None = None

    def message(self, start_ns: int) -> Any:
        """The message of a drive that starts at `start_ns`."""
        message = _MAKERS[self.stream](start_ns + int(self.stamp_ms * MS))
        if self.change is not None:
            self.change(message)
        return message


Change = Callable[[Delivery], Sequence[Delivery]]


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        name: what goes wrong, in the words of the table.
        change: what becomes of each delivery while it lasts.
        present: the sensors that most masks meanwhile are made of; None where it is about half.
        rejected: the reasons for which camera frames are rejected, beside `overtaken`: one that
            comes after a mask of its time was made without the camera.
        faulty: the inputs that must be reported as such, meanwhile or a moment after.
        from_start: whether it lasts from the start.
    """

    name: str
    change: Change
    present: frozenset[str] | None = ALL
    rejected: frozenset[str] = frozenset()
    faulty: frozenset[str] = frozenset()
    from_start: bool = False

    @property
    def start_ms(self) -> float:
        """When it begins."""
        return 0 if self.from_start else BEFORE_MS


def sound_drive() -> list[Delivery]:
    """Camera at 20 Hz, LiDAR at 10 Hz (sweeps end with their arrival), events at 50 Hz."""
    ticks = range(0, BEFORE_MS + DURING_MS + AFTER_MS, 10)
    drive = [Delivery(t, 'event', t) for t in ticks if t % 20 == 0]
    drive += [Delivery(t, 'lidar', t - 100) for t in ticks if t % 100 == 30]
    drive += [Delivery(t, 'camera', t - 2) for t in ticks if t % 50 == 40]
    return drive


def faulty_drive(fault: Fault) -> list[Delivery]:
    """The same with the fault, in the order of sending."""
    drive: list[Delivery] = []
    for delivery in sound_drive():
        is_hit = fault.start_ms <= delivery.at_ms < END_MS
        drive += fault.change(delivery) if is_hit else [delivery]
    return sorted(drive, key=lambda delivery: delivery.at_ms)


# Changes


def silent(*streams: str) -> Change:
    return lambda delivery: [] if delivery.stream in streams else [delivery]


def late(milliseconds: float, *streams: str) -> Change:
    return _each(streams, lambda d: [replace(d, at_ms=d.at_ms + milliseconds)])


def duplicated(*streams: str) -> Change:
    return _each(streams, lambda d: [d, replace(d, at_ms=d.at_ms + 1)])


def swapped(stream: str, period_ms: int) -> Change:
    """Every second message arrives after its successor."""

    def change(delivery: Delivery) -> Sequence[Delivery]:
        is_first = int(delivery.at_ms) // period_ms % 2 == 0
        return [replace(delivery, at_ms=delivery.at_ms + 1.2 * period_ms * is_first)]

    return _each((stream,), change)


def stamped(*streams: str, shift_s: float | None) -> Change:
    """With stamps of another clock; None for no stamp at all."""

    def change(message: Any) -> None:
        stamp = message.header.stamp
        if shift_s is None:
            stamp.sec = stamp.nanosec = 0
        else:
            stamp.sec += int(shift_s)

    return altered(change, *streams)


def cut_short(message: Any) -> None:
    message.data = message.data[:-7]


def huge(message: Any) -> None:
    """Claims a size that nothing could hold."""
    message.height = message.width = 2**31


def some_not_finite(message: Any) -> None:
    points = message.data.view([('xyz', '<f4', 3), ('intensity', '<f4')]).copy()
    points['xyz'][::2] = np.nan
    points['xyz'][1::4] = np.inf
    message.data = points.view(np.uint8)


def none_finite(message: Any) -> None:
    points = message.data.view([('xyz', '<f4', 3), ('intensity', '<f4')]).copy()
    points['xyz'] = np.nan
    message.data = points.view(np.uint8)


def altered(change: Callable[[Any], None], *streams: str) -> Change:
    return _each(streams, lambda d: [replace(d, change=change)])


def _each(streams: Sequence[str], change: Change) -> Change:
    return lambda delivery: change(delivery) if delivery.stream in streams else [delivery]


def _without(*streams: str) -> dict[str, Any]:
    return {'present': ALL - set(streams), 'faulty': frozenset(streams)}


def _rejecting(reason: str) -> dict[str, Any]:
    return {'rejected': frozenset({reason})}


TAI_S = 37
FAULTS = [
    Fault('camera silent', silent('camera'), ALL - {'camera'}),
    Fault('event camera silent', silent('event'), ALL - {'event'}),
    Fault('LiDAR silent', silent('lidar'), ALL - {'lidar'}),
    Fault('event camera and LiDAR silent', silent('event', 'lidar'), frozenset({'camera'})),
    Fault('camera silent from the start', silent('camera'), ALL - {'camera'}, from_start=True),
    Fault('event camera silent from the start', silent('event'), ALL - {'event'}, from_start=True),
    Fault('LiDAR silent from the start', silent('lidar'), ALL - {'lidar'}, from_start=True),
    Fault('camera 50 ms late', late(50, 'camera')),
    # When it ends, the first punctual frame comes before the last late one.
    Fault('camera 100 ms late', late(100, 'camera'), **_rejecting('out_of_order')),
    Fault('LiDAR 50 ms late', late(50, 'lidar')),
    # A sweep whose middle is 150 to 250 ms old when it serves: beyond `max_age_ns`.
    Fault('LiDAR 100 ms late', late(100, 'lidar'), ALL - {'lidar'}),
    Fault('events 50 ms late', late(50, 'event'), ALL - {'event'}),
    Fault('events 100 ms late', late(100, 'event'), ALL - {'event'}),
    Fault('all 100 ms late', late(100, 'camera', 'event', 'lidar'), **_rejecting('out_of_order')),
    Fault('camera frames twice', duplicated('camera'), **_rejecting('duplicate')),
    Fault('events and sweeps twice', duplicated('event', 'lidar')),
    Fault('camera frames swapped', swapped('camera', 50), **_rejecting('out_of_order')),
    Fault('event packets swapped', swapped('event', 20)),
    # Every second sweep is refused, and the others serve for half of the time.
    Fault('sweeps swapped', swapped('lidar', 100), present=None),
    Fault(
        'camera without stamps',
        stamped('camera', shift_s=None),
        ALL - {'camera'},
        **_rejecting('no_stamp'),
    ),
    Fault(
        f'camera {TAI_S} s ahead (TAI)',
        stamped('camera', shift_s=TAI_S),
        ALL - {'camera'},
        **_rejecting('in_future'),
    ),
    Fault(
        'camera an hour behind',
        stamped('camera', shift_s=-3600),
        ALL - {'camera'},
        **_rejecting('too_old'),
    ),
    Fault('LiDAR without stamps', stamped('lidar', shift_s=None), ALL - {'lidar'}),
    Fault(f'LiDAR {TAI_S} s ahead (TAI)', stamped('lidar', shift_s=TAI_S), ALL - {'lidar'}),
    Fault('events an hour behind', stamped('event', shift_s=-3600), ALL - {'event'}),
    Fault(
        'camera data cut short',
        altered(cut_short, 'camera'),
        rejected=frozenset({'unreadable'}),
        **_without('camera'),
    ),
    Fault('event data cut short', altered(cut_short, 'event'), **_without('event')),
    Fault('LiDAR data cut short', altered(cut_short, 'lidar'), **_without('lidar')),
    Fault(
        'images that claim 2³¹ × 2³¹ pixels',
        altered(huge, 'camera'),
        rejected=frozenset({'unreadable'}),
        **_without('camera'),
    ),
    Fault('sweeps that claim 2⁶² points', altered(huge, 'lidar'), **_without('lidar')),
    Fault('three quarters of the points not finite', altered(some_not_finite, 'lidar')),
    Fault('no point finite', altered(none_finite, 'lidar'), **_without('lidar')),
]
