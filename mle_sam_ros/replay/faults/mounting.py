"""A calibration that is not true: the sensor stands elsewhere than is believed."""

from abc import abstractmethod
from dataclasses import dataclass

import cv2
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.faults.fault import (
    is_lidar,
    number_text,
    NumberFault,
    parse_number,
    Window,
)
import numpy as np

_AXES = 'xyz'


@dataclass(frozen=True)
class MountingFault(NumberFault):
    """`camera_from` of a sensor is wrong, wherever it comes from: a file or /tf_static.

    Attributes:
        axis: of the sensor's own frame: x, y, z; empty for one that chance chooses.
    """

    victims = 'event, lidar, lidar_2 to lidar_9'

    axis: str = ''

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis not in ('', *_AXES):
            raise InputError(
                f'fault: expected {self.kind} along x, y or z, got {self.axis!r}; choose one, or '
                'leave it out for any'
            )

    @classmethod
    def parse(cls, stream: str, value: str, window: Window) -> 'MountingFault':
        """As `Fault.parse`; of `1.5:z` the axis is z."""
        number, colon, axis = value.partition(':')
        if colon and not axis:
            axis = colon  # refused, with the names of those that there are
        return cls(stream, window, parse_number(number, cls), axis)

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it: the other sensors are placed in the camera's frame."""
        return stream == 'event' or is_lidar(stream)

    @property
    def value_text(self) -> str:
        """The number, and the axis where one was given."""
        return f'{number_text(self.value)}:{self.axis}' if self.axis else number_text(self.value)

    @property
    def words(self) -> str:
        """As `Fault.words`."""
        return self.said.format(
            stream=self.stream.replace('_', ' '),
            number=self.value,
            axis=f' ({self.axis} axis)' if self.axis else '',
        )

    def error(self, chance: np.random.Generator) -> np.ndarray:
        """(4, 4) float64: what is believed is `camera_from @ error`."""
        direction = chance.standard_normal(3)
        if self.axis:
            direction = np.eye(3)[_AXES.index(self.axis)]
        return self._along(direction / np.linalg.norm(direction))

    @abstractmethod
    def _along(self, axis: np.ndarray) -> np.ndarray:
        """The error along a unit vector (3,)."""


@dataclass(frozen=True)
class Rotate(MountingFault):
    """The sensor is believed to be turned by so many degrees about its own origin."""

    kind = 'rotate'
    takes = 'degrees'
    said = '{stream} calibration off by {number:+g}°{axis}'
    low, high = -180.0, 180.0

    def _along(self, axis: np.ndarray) -> np.ndarray:
        error = np.eye(4)
        error[:3, :3] = cv2.Rodrigues(np.deg2rad(self.value) * axis)[0]
        return error


@dataclass(frozen=True)
class Shift(MountingFault):
    """The sensor is believed to stand so many centimetres beside its place.

    Of an event camera it would change nothing: how far off is what it saw is not known, so only
    its rotation counts.
    """

    kind = 'shift'
    takes = 'centimetres'
    said = '{stream} calibration off by {number:+g} cm{axis}'
    victims = 'lidar, lidar_2 to lidar_9'
    low, high = -1000.0, 1000.0

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""
        return is_lidar(stream)

    def _along(self, axis: np.ndarray) -> np.ndarray:
        error = np.eye(4)
        error[:3, 3] = self.value / 100 * axis
        return error
