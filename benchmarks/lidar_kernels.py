"""LiDAR kernels beside their peers; run by `kernels.py`."""

from collections.abc import Iterator

from kernel_case import KernelCase
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
import numpy as np

FULL_HD = CameraModel(
    (1080, 1920),
    np.array([[1150.0, 0, 959.5], [0, 1150, 539.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0.0]),
)
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


def numpy_lidar_raster(cloud: PointCloud, camera: CameraModel) -> np.ndarray:
    """Masks, projection, then far points first so that near ones overwrite them."""
    distance = np.linalg.norm(cloud.xyz, axis=1)
    points = cloud.xyz @ CAMERA_FROM_LIDAR[:3, :3].T.astype(np.float32)
    ahead = (distance >= 1) & (points[:, 2] > 0.1)
    u, v = np.floor(camera.project(points[ahead]) + 0.5).astype(int).T
    inside = (u >= 0) & (u < camera.size_hw[1]) & (v >= 0) & (v < camera.size_hw[0])
    values = np.stack([distance, cloud.intensity, cloud.xyz[:, 2]], axis=1)[ahead][inside]
    order = np.argsort(-points[ahead][inside, 2])
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    raster[v[inside][order], u[inside][order]] = values[order]
    return raster


def cases() -> Iterator[KernelCase]:
    """What to measure."""
    random = np.random.default_rng(0)
    encoding = LidarEncoding(1.0, 1)
    for num_points in (131_072, 262_144):
        xyz = (random.normal(size=(num_points, 3)) * [20, 20, 2]).astype(np.float32)
        cloud = PointCloud(xyz, random.random(num_points, dtype=np.float32))
        yield KernelCase(
            f'LiDAR, {num_points} points, 1080p',
            num_points,
            lambda c=cloud: lidar_raster(c, CAMERA_FROM_LIDAR, FULL_HD, encoding),
            {'numpy': lambda c=cloud: numpy_lidar_raster(c, FULL_HD)},
        )
