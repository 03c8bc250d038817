"""A LiDAR's revolution, and where its points stand in the camera's frame."""

from dataclasses import dataclass

from mle_sam_ros.core.cloud import PointCloud
import numpy as np


@dataclass(frozen=True, eq=False)
class Sweep:
    """Points, and what takes them to the camera.

    Attributes:
        stream: that brought it: `lidar`, `lidar_2` and so on.
        cloud: the points.
        camera_from_lidar: (K, 4, 4) float64, from the LiDAR at each knot's time to the camera
            where it was at the exposure; one for the whole sweep where nothing moves, or nothing
            is known of it; none where the LiDAR's place is unknown.
        knots_ns: (K,) int64, rising, on the clock of the points' times; of one for the whole
            sweep without meaning.
        is_moved: whether the vehicle's motion is in these matrices.
        fault: why the place is unknown, or the motion where it is asked for; one line.
    """

    stream: str
    cloud: PointCloud
    camera_from_lidar: np.ndarray
    knots_ns: np.ndarray
    is_moved: bool = False
    fault: str = ''


def whole(stream: str, cloud: PointCloud, camera_from_lidar: np.ndarray, fault: str = '') -> Sweep:
    """A sweep during which nothing moves: all of it goes through one matrix (4, 4)."""
    return Sweep(stream, cloud, camera_from_lidar[None], np.zeros(1, np.int64), fault=fault)


def lost(stream: str, cloud: PointCloud, fault: str) -> Sweep:
    """A sweep of a LiDAR whose place is unknown, and why."""
    return Sweep(stream, cloud, np.zeros((0, 4, 4)), np.zeros(0, np.int64), fault=fault)
