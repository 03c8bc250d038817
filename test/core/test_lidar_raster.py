import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import lidar_motion
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.sweep import Sweep, whole
import numpy as np
import pytest

# LiDAR x forward, y left, z up; camera z forward, x right, y down; 10 cm apart.
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0.1], [1, 0, 0, 0.0], [0, 0, 0, 1.0]])
CAMERA = CameraModel(
    (32, 64),
    np.array([[32.0, 0, 31.5], [0, 32, 15.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0]),
)


FISHEYE = CameraModel(
    (32, 64),
    np.array([[20.0, 0, 31.5], [0, 20, 15.5], [0, 0, 1]]),
    np.array([-0.02, 0.003, -0.001, 0.0002]),
    'equidistant',
)
RECTIFIED = CameraModel(
    (32, 64), CAMERA.matrix, np.zeros(5), rotation=cv2.Rodrigues(np.array([0.1, -0.2, 0.05]))[0]
)
RATIONAL = CameraModel(
    (32, 64),
    CAMERA.matrix,
    np.array([0.4, -0.1, 0.001, -0.001, 0.02, 0.7, -0.05, 0.01]),
    'rational_polynomial',
)


def reference(sweeps, camera, encoding):
    """Point by point, as one would explain it."""
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    depth = np.full(camera.size_hw, np.inf, np.float32)
    for sweep in sweeps:
        for i, point in enumerate(sweep.cloud.xyz.astype(np.float64)):
            distance = np.sqrt(point[0] * point[0] + point[1] * point[1] + point[2] * point[2])
            is_return = 0 < distance < np.inf
            if not (is_return and distance >= encoding.min_range_m):
                continue
            x, y, z = camera.rotation @ place_of(i, sweep, point)
            if z < 0.1 or x * x + y * y > camera.squared_radius_limit * z * z:
                continue
            in_front = camera.rotation.T @ [x, y, z]
            u, v = np.floor(camera.project(in_front[None])[0] + 0.5).astype(int)
            before = (encoding.dilation_px - 1) // 2
            for row in range(v - before, v - before + encoding.dilation_px):
                for column in range(u - before, u - before + encoding.dilation_px):
                    inside = 0 <= row < camera.size_hw[0] and 0 <= column < camera.size_hw[1]
                    if inside and np.float32(z) < depth[row, column]:
                        depth[row, column] = z
                        raster[row, column] = distance, sweep.cloud.intensity[i], point[2]
    return raster


def place_of(i, sweep, point):
    """Where the point stands in the camera's frame at the exposure."""
    places = [(pose @ [*point, 1])[:3] for pose in sweep.camera_from_lidar]
    if len(places) == 1:
        return places[0]
    at = float(sweep.cloud.time_ns[i] - sweep.knots_ns[0])
    offsets = sweep.knots_ns - sweep.knots_ns[0]
    return np.array([np.interp(at, offsets, column) for column in zip(*places, strict=True)])


@settings(deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 150), max_size=3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.sampled_from([CAMERA, FISHEYE, RECTIFIED, RATIONAL]),
)
def test_agrees_with_the_reference(seed, num_points, dilation_px, num_knots, camera):
    random = np.random.default_rng(seed)
    knots_ns, poses = lidar_motion.knots(num_knots)
    sweeps = []
    for number in num_points:
        mounting = CAMERA_FROM_LIDAR.copy()
        mounting[:3, 3] += random.normal(size=3)
        cloud = lidar_motion.cloud(random, number, 30.0)
        sweeps.append(Sweep('lidar', cloud, mounting @ poses, knots_ns))
    encoding = LidarEncoding(1.0, dilation_px)
    np.testing.assert_array_equal(
        lidar_raster(sweeps, camera, encoding), reference(sweeps, camera, encoding)
    )


def raster_of(points, dilation_px=1):
    cloud = PointCloud(np.array(points, np.float32), np.arange(1, len(points) + 1, dtype='f4'))
    sweep = whole('lidar', cloud, CAMERA_FROM_LIDAR)
    return lidar_raster([sweep], CAMERA, LidarEncoding(1.0, dilation_px))


@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_nearest_wins_whatever_the_order(order):
    raster = raster_of(np.array([[20.0, 0, 0], [10, 0, 0]])[order])
    assert raster[:, :, 0].max() == 10


@pytest.mark.parametrize(
    'point', [[-10, 0, 0], [0.5, 0, 0], [np.nan, 0, 0], [0, 0, 0], [1, 30, 0], [0.2, 1, 40]]
)
def test_dropped(point):
    assert not raster_of([point]).any()


def test_what_is_no_return_stays_out_without_a_least_range():
    cloud = PointCloud(np.zeros((1, 3), np.float32), np.ones(1, np.float32))
    ahead = CAMERA_FROM_LIDAR + np.eye(4)[2][:, None] * np.eye(4)[3] * 5
    assert not lidar_raster([whole('lidar', cloud, ahead)], CAMERA, LidarEncoding(0.0, 1)).any()


def test_no_points():
    assert not raster_of(np.zeros((0, 3))).any()


def test_of_two_lidars_the_nearer_return_wins():
    def cloud(distance, intensity):
        return PointCloud(np.array([[distance, 0, 0]], np.float32), np.float32([intensity]))

    ahead = CAMERA_FROM_LIDAR.copy()
    ahead[2, 3] = 8.0  # this one stands eight metres ahead of the camera
    sweeps = [
        whole('lidar', cloud(10, 1), CAMERA_FROM_LIDAR),
        whole('lidar_2', cloud(4, 2), ahead),
    ]
    for order in (sweeps, sweeps[::-1]):
        raster = lidar_raster(order, CAMERA, LidarEncoding(1.0, 1))
        # Ten metres of the first LiDAR are nearer than eight and four of the other.
        assert raster[:, :, 0].max() == 10
        assert raster[:, :, 1].max() == 1


def test_no_sweeps():
    assert not lidar_raster([], CAMERA, LidarEncoding(1.0, 1)).any()


def test_a_return_is_seen_from_where_it_stood_and_tells_what_was_measured():
    knots_ns, poses = np.array([0, 100]), np.stack([CAMERA_FROM_LIDAR] * 2)
    poses[1, 0, 3] += 5  # while it turned, the LiDAR went five metres to the right
    cloud = PointCloud(
        np.array([[10, 0, 1]] * 3, np.float32), np.float32([1, 2, 3]), np.array([0, 50, 100])
    )
    raster = lidar_raster([Sweep('lidar', cloud, poses, knots_ns)], CAMERA, LidarEncoding(1.0, 1))
    v, u = np.nonzero(raster[:, :, 1])
    assert raster[v, u, 1].tolist() == [1, 2, 3]
    assert np.diff(u).tolist() == [8, 8]  # 2.5 m each, at 10 m and with 32 px
    np.testing.assert_allclose(raster[v, u, 0], np.sqrt(101), rtol=1e-6)
    np.testing.assert_array_equal(raster[v, u, 2], 1)
