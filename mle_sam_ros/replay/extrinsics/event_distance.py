"""How far away what an event camera saw is, as a LiDAR measured it."""

import cv2
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
import numpy as np

_NEAREST_M, _UNKNOWN_M = 0.5, 1e4
# Gaps between LiDAR points, and the rims of objects, take the nearest distance around.
_REACH_RAD = np.deg2rad(0.8)


def event_points(
    event_camera: CameraModel,
    cloud: PointCloud | None = None,
    event_from_lidar: np.ndarray | None = None,
) -> np.ndarray:
    """A point on the ray of each pixel: without it, parallax would look like a wrong rotation.

    Args:
        event_camera: at the size of the sensor.
        cloud: the sweep of that time; None where there is none.
        event_from_lidar: (4, 4) float64; None where it is not known.

    Returns:
        (H, W, 3) float64, metres, event camera's frame: at the distance of the nearest LiDAR
        point around the pixel, practically infinite where there is none, NaN without a ray.
    """
    rays = event_camera.rays()
    if cloud is None or event_from_lidar is None:
        return rays * _UNKNOWN_M
    points = cloud.xyz[np.isfinite(cloud.xyz).all(axis=1)].astype(np.float64)
    points = points @ event_from_lidar[:3, :3].T + event_from_lidar[:3, 3]
    points = points[event_camera.covers(points) & (points[:, 2] > _NEAREST_M)]
    u, v = np.floor(event_camera.project(points) + 0.5).astype(np.int64).T
    height, width = event_camera.size_hw
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    distance = np.full((height, width), _UNKNOWN_M)
    np.minimum.at(distance, (v[inside], u[inside]), points[inside, 2])
    side = 2 * max(1, round(_REACH_RAD * float(event_camera.matrix[0, 0]))) + 1
    return rays * cv2.erode(distance, np.ones((side, side), np.uint8))[:, :, np.newaxis]
