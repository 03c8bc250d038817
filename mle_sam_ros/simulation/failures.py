"""What can go wrong with a sensor: the five failures of the DELIVER data set."""

from __future__ import annotations

from dataclasses import dataclass

from mle_sam_ros.core.errors import InputError
import numpy as np

_SENSORS = {
    'motion_blur': 'camera',
    'over_exposure': 'camera',
    'under_exposure': 'camera',
    'lidar_jitter': 'lidar',
    'event_low_resolution': 'event',
}
FAILURE_NAMES = tuple(_SENSORS)


@dataclass(frozen=True)
class Failure:
    """A failure, and how bad it is.

    Attributes:
        name: one of FAILURE_NAMES, or `none`.
        severity: 0 mild … 1 severe.
    """

    name: str = 'none'
    severity: float = 0.5

    @staticmethod
    def random(name: str, rng: np.random.Generator) -> Failure:
        """The named failure with any severity.

        Raises:
            InputError: for an unknown name.
        """
        if name not in ('none', *FAILURE_NAMES):
            raise InputError(
                f'failure: expected one of none, {", ".join(FAILURE_NAMES)}, got {name!r}; '
                'choose one'
            )
        return Failure(name, float(rng.random()))

    @property
    def sensor(self) -> str:
        """The modality that it befalls; empty for `none`."""
        return _SENSORS.get(self.name, '')

    @property
    def exposure_factor(self) -> float:
        """By what the camera's exposure is wrong: 15 to 50 times too long, 12 to 60 too short."""
        if self.name == 'over_exposure':
            return 15.0 * (50 / 15) ** self.severity
        if self.name == 'under_exposure':
            return 1 / (12.0 * 5.0**self.severity)
        return 1.0

    @property
    def shake_rad(self) -> float:
        """How far the camera turns during the exposure on top of the drive: 1 to 3 degrees."""
        return np.deg2rad(1.0 + 2.0 * self.severity) if self.name == 'motion_blur' else 0.0

    @property
    def jitter_rad(self) -> float:
        """Standard deviation of the LiDAR's pose error between columns: 0.4 to 1.5 degrees."""
        return np.deg2rad(0.4 + 1.1 * self.severity) if self.name == 'lidar_jitter' else 0.0

    @property
    def event_block_px(self) -> int:
        """Side of the blocks of pixels that the event camera reports as one."""
        return 4 + round(4 * self.severity) if self.name == 'event_low_resolution' else 1
