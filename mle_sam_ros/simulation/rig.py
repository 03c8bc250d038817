"""Where the sensors are mounted on the ego vehicle, and what they are like."""

from __future__ import annotations

from dataclasses import dataclass

from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.simulation.traffic import rotation
import numpy as np

# Optical axes (x right, y down, z forward) in the vehicle's (x forward, y left, z up).
_BODY_FROM_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def _mount(x, y, z, yaw=0.0, pitch=0.0, roll=0.0, optical=False) -> np.ndarray:
    """Pose (4, 4) in the base frame; metres and degrees; positive pitch looks down."""
    pose = np.eye(4)
    pose[:3, :3] = rotation(*np.deg2rad([yaw, pitch, roll]))
    if optical:
        pose[:3, :3] = pose[:3, :3] @ _BODY_FROM_OPTICAL
    pose[:3, 3] = x, y, z
    return pose


@dataclass(frozen=True)
class LidarModel:
    """A spinning LiDAR.

    Attributes:
        num_beams: rows.
        num_columns: azimuth steps per revolution.
        lowest_rad: elevation of the lowest beam.
        highest_rad: elevation of the highest beam.
        max_range_m: beyond it, nothing returns.
        period_ns: of one revolution.
    """

    num_beams: int = 64
    num_columns: int = 1024
    lowest_rad: float = float(np.deg2rad(-24.0))
    highest_rad: float = float(np.deg2rad(12.0))
    max_range_m: float = 90.0
    period_ns: int = 100_000_000

    def directions(self) -> np.ndarray:
        """(columns, beams, 3) float64 unit vectors in the LiDAR frame, in the order of time.

        The sweep starts behind the vehicle and turns clockwise seen from above, so that its
        middle looks forward.
        """
        azimuth = np.pi - 2 * np.pi * (np.arange(self.num_columns) + 0.5) / self.num_columns
        elevation = np.linspace(self.highest_rad, self.lowest_rad, self.num_beams)
        azimuth, elevation = np.meshgrid(azimuth, elevation, indexing='ij')
        level = np.cos(elevation)
        return np.stack(
            [level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation)], axis=-1
        )

    def column_offsets_ns(self) -> np.ndarray:
        """(columns,) int64, when each column is measured, after the sweep's start."""
        return np.arange(self.num_columns, dtype=np.int64) * self.period_ns // self.num_columns


@dataclass(frozen=True)
class Rig:
    """The sensors and their poses.

    Attributes:
        camera: the frame camera's model.
        event_camera: the event camera's model.
        lidar: the LiDAR.
        base_from: modality to pose (4, 4) in the base frame (rear axle on the ground).
        base_from_headlights: pose (4, 4), x along the beam.
    """

    camera: CameraModel
    event_camera: CameraModel
    lidar: LidarModel
    base_from: dict[str, np.ndarray]
    base_from_headlights: np.ndarray

    def calibration(self) -> Calibration:
        """What perception may know of this rig."""
        camera_from_base = np.linalg.inv(self.base_from['camera'])
        return Calibration(
            {'camera': self.camera, 'event': self.event_camera},
            {name: camera_from_base @ self.base_from[name] for name in ('event', 'lidar')},
        )


def standard_rig() -> Rig:
    """The rig of every simulated drive: 640 x 320 camera, 346 x 260 event camera, 64 beams."""
    camera = CameraModel(
        (320, 640),
        np.array([[318.0, 0, 321.3], [0, 318.4, 158.2], [0, 0, 1]]),
        np.array([-0.05, 0.012, 0.0004, -0.0003, 0.0]),
    )
    event_camera = CameraModel(
        (260, 346),
        np.array([[192.0, 0, 174.1], [0, 192.3, 128.6], [0, 0, 1]]),
        np.array([-0.08, 0.02, -0.0003, 0.0002, 0.0]),
    )
    base_from = {
        'camera': _mount(1.7, 0.0, 1.45, pitch=2.0, optical=True),
        'event': _mount(1.72, -0.14, 1.47, yaw=-0.6, pitch=2.8, roll=0.4, optical=True),
        'lidar': _mount(1.4, 0.0, 1.85, yaw=0.3, pitch=0.2),
    }
    headlights = _mount(3.6, 0.0, 0.65, pitch=0.5)
    return Rig(camera, event_camera, LidarModel(), base_from, headlights)
