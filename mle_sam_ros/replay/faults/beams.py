"""A LiDAR that has lost some of its beams: dirt on the window, broken lasers."""

from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.replay.faults.fault import (
    Draw,
    is_lidar,
    MessageFault,
    NumberFault,
    Passing,
    Step,
)
import numpy as np

_RING_FIELDS = ('ring', 'channel', 'line', 'laser_id')
# Where points do not tell their ring: about as far apart as the beams of most LiDARs.
_BAND_RAD = np.deg2rad(0.5)
# Its multiples fall evenly between whole numbers, however many are taken.
_GOLDEN_RATIO = (1 + np.sqrt(5)) / 2


@dataclass(frozen=True)
class Beams(NumberFault, MessageFault):
    """A part of the beams, 0 to 1, gives no more points: the same ones all the time.

    They are spread evenly; chance chooses the first. Beams are told apart by the field ring,
    channel, line or laser_id, or else by their elevation, in bands of half a degree.
    """

    kind = 'beams'
    takes = 'a part of all'
    said = '{part} {stream} beams lost'
    victims = 'lidar, lidar_2 to lidar_9'
    low, high = 0.0, 1.0

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""
        return is_lidar(stream)

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        first = draw(0).random()

        def step(item: Passing, holds: bool) -> Passing:
            if not (holds and self.value):
                return item
            try:
                points = read_points(item.message, ('x', 'y', 'z'), self.stream)
            except InputError:
                return item  # whoever reads it says what is wrong with it
            if any(points.dtype[axis].kind != 'f' for axis in 'xyz'):
                return item
            is_left = (first + _beams(points) * _GOLDEN_RATIO) % 1 >= self.value
            return item._replace(message=_with_points(item.message, points[is_left]))

        return step


def _beams(points: np.ndarray) -> np.ndarray:
    """(N,) whole numbers, the same for all points of a beam; any for what is no return."""
    names = points.dtype.names or ()
    for name in _RING_FIELDS:
        if name in names and points.dtype[name].kind in 'iu':
            return points[name]
    with np.errstate(invalid='ignore', over='ignore'):
        x, y, z = (points[axis].astype(np.float64) for axis in 'xyz')
        bands = np.floor(np.arctan2(z, np.hypot(x, y)) / _BAND_RAD)
    return np.nan_to_num(bands)


def _with_points(message: Any, points: np.ndarray) -> Any:
    """The cloud with other points of the same layout, in one row."""
    return replace(
        message,
        height=1,
        width=len(points),
        row_step=points.nbytes,
        data=np.ascontiguousarray(points).view(np.uint8).reshape(-1),
    )
