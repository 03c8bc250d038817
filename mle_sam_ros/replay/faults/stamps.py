"""A sensor whose clock is wrong."""

from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.bags.messages import time_message
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.point_times import TIME_FIELDS
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.replay.faults.fault import ALWAYS, Draw, MessageFault, NumberFault, Passing, Step
import numpy as np

_NS = 1_000_000_000


@dataclass(frozen=True)
class Stamp(NumberFault, MessageFault):
    """All times that a sensor gives are so many seconds late (below zero: early).

    It arrives as before. Of the camera, its frames are paired as if their stamps were wrong, but
    keep them, as the ground truth goes by them; so it cannot begin in the middle of a drive.
    """

    kind = 'stamp'
    takes = 'seconds'
    said = '{stream} clock off by {ms:+g} ms'
    victims = 'a sensor, odometry or twist'
    low, high = -10.0, 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stream == 'camera' and self.window != ALWAYS:
            raise InputError(
                'fault: expected stamp of the camera for the whole drive, got a window '
                f'{self.window}; give it to the other sensors with the opposite sign'
            )

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it; each of the transforms has a stamp of its own."""
        return stream != 'tf'

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        shift_ns = round(self.value * 1e9)

        def step(item: Passing, holds: bool) -> Passing:
            if not (holds and shift_ns) or self.stream == 'camera':
                return item
            return item._replace(message=_shifted(item.message, shift_ns))

        return step

    def applied(self, rig: RigSettings) -> RigSettings:
        """The settings of a rig whose camera is paired by the wrong clock."""
        camera = rig.alignment.camera
        shifted = replace(camera, offset_ns=camera.offset_ns + round(self.value * 1e9))
        return replace(rig, alignment=replace(rig.alignment, camera=shifted))


def _shifted(message: Any, shift_ns: int) -> Any:
    """The message with all of its times later."""
    stamp = time_message(max(0, stamp_ns(message.header) + shift_ns))
    changes: dict[str, Any] = {'header': replace(message.header, stamp=stamp)}
    if hasattr(message, 'time_base'):
        changes['time_base'] = max(0, message.time_base + shift_ns)
    elif hasattr(message, 'point_step'):
        changes['data'] = _shifted_points(message, shift_ns)
    return replace(message, **changes)


def _shifted_points(message: Any, shift_ns: int) -> Any:
    """The data of a cloud; times that count from its stamp need no change."""
    try:
        points = read_points(message, (), 'cloud')
    except InputError:
        return message.data  # whoever reads it says what is wrong with it
    names = points.dtype.names or ()
    name = next((name for name in TIME_FIELDS if name in names), None)
    if name is None or points.dtype[name] != np.float64 or not len(points):
        return message.data
    points = points.copy()
    times = points[name]
    with np.errstate(invalid='ignore'):
        largest = np.nanmax(np.abs(times), initial=0.0)
    if 0 < largest < np.finfo(np.float64).tiny:  # the bits of a whole number, as CARLA's
        points[name] = (np.ascontiguousarray(times).view(np.int64) + shift_ns).view(np.float64)
    elif largest >= 1e17:
        points[name] = times + shift_ns
    elif largest >= 1e8:
        points[name] = times + shift_ns / _NS
    return points.view(np.uint8).reshape(-1)
