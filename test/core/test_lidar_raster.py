from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
import numpy as np
import pytest

# LiDAR x forward, y left, z up; camera z forward, x right, y down; 10 cm apart.
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0.1], [1, 0, 0, 0.0], [0, 0, 0, 1.0]])
CAMERA = CameraModel(
    (32, 64),
    np.array([[32.0, 0, 31.5], [0, 32, 15.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0]),
)


def reference(cloud, camera_from_lidar, camera, encoding):
    """Point by point, as one would explain it."""
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    depth = np.full(camera.size_hw, np.inf)
    for xyz, intensity in zip(cloud.xyz.astype(np.float64), cloud.intensity, strict=True):
        distance = np.sqrt(xyz[0] * xyz[0] + xyz[1] * xyz[1] + xyz[2] * xyz[2])
        if not (np.isfinite(distance) and distance >= encoding.min_range_m):
            continue
        x, y, z, _ = camera_from_lidar @ [*xyz, 1]
        if z < 0.1 or (x / z) ** 2 + (y / z) ** 2 > camera.squared_radius_limit:
            continue
        u, v = np.floor(camera.project(np.array([[x, y, z]]))[0] + 0.5).astype(int)
        before = (encoding.dilation_px - 1) // 2
        for row in range(v - before, v - before + encoding.dilation_px):
            for column in range(u - before, u - before + encoding.dilation_px):
                inside = 0 <= row < camera.size_hw[0] and 0 <= column < camera.size_hw[1]
                if inside and z < depth[row, column]:
                    depth[row, column] = z
                    raster[row, column] = distance, intensity, xyz[2]
    return raster


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(1, 4))
def test_agrees_with_the_reference(seed, num_points, dilation_px):
    rng = np.random.default_rng(seed)
    xyz = (rng.normal(size=(num_points, 3)) * [10, 10, 3]).astype(np.float32)
    xyz[rng.random(num_points) < 0.05] = np.nan
    xyz[rng.random(num_points) < 0.02] = np.inf
    cloud = PointCloud(xyz, rng.random(num_points, dtype=np.float32))
    encoding = LidarEncoding(1.0, dilation_px)
    np.testing.assert_array_equal(
        lidar_raster(cloud, CAMERA_FROM_LIDAR, CAMERA, encoding),
        reference(cloud, CAMERA_FROM_LIDAR, CAMERA, encoding),
    )


def raster_of(points, dilation_px=1):
    cloud = PointCloud(np.array(points, np.float32), np.arange(1, len(points) + 1, dtype='f4'))
    return lidar_raster(cloud, CAMERA_FROM_LIDAR, CAMERA, LidarEncoding(1.0, dilation_px))


@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_nearest_wins_whatever_the_order(order):
    raster = raster_of(np.array([[20.0, 0, 0], [10, 0, 0]])[order])
    assert raster[:, :, 0].max() == 10


@pytest.mark.parametrize(
    'point', [[-10, 0, 0], [0.5, 0, 0], [np.nan, 0, 0], [0, 0, 0], [1, 30, 0], [0.2, 1, 40]]
)
def test_dropped(point):
    assert not raster_of([point]).any()


def test_no_points():
    assert not raster_of(np.zeros((0, 3))).any()
