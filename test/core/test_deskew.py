from hypothesis import given, settings
from hypothesis import strategies as st
from lidar_layouts import DRIVERS, FLASH, message_of
import lidar_motion
from mle_sam_ros.core import cloud as cloud_module
from mle_sam_ros.core import deskew as deskew_module
from mle_sam_ros.core import point_times
from mle_sam_ros.core.cloud import decode_cloud, PointCloud
from mle_sam_ros.core.deskew import compile_kernels, deskew
import numpy as np
import pytest


def reference(cloud, knots_ns, reference_from_lidar):
    """Point by point, as one would explain it."""
    moved = []
    for point, time_ns in zip(cloud.xyz.astype(np.float64), cloud.time_ns, strict=True):
        if not point.any():
            moved.append([np.nan] * 3)
            continue
        places = [(pose @ [*point, 1])[:3] for pose in reference_from_lidar]
        at, offsets = float(time_ns - knots_ns[0]), knots_ns - knots_ns[0]
        moved.append([np.interp(at, offsets, column) for column in zip(*places, strict=True)])
    return np.array(moved, np.float32).reshape(-1, 3)


@pytest.mark.filterwarnings('ignore:invalid value')
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 200), st.integers(1, 12))
def test_agrees_with_the_reference(seed, num_points, num_knots):
    cloud = lidar_motion.cloud(np.random.default_rng(seed), num_points)
    knots = lidar_motion.knots(num_knots)
    is_return = np.isfinite(cloud.xyz).all(axis=1)
    moved = deskew(cloud, *knots).xyz
    np.testing.assert_allclose(
        moved[is_return], reference(cloud, *knots)[is_return], rtol=0, atol=2e-5
    )
    assert not np.isfinite(moved[~is_return]).all(axis=1).any()
    assert np.isnan(moved[(cloud.xyz == 0).all(axis=1)]).all()


@pytest.mark.parametrize('turn', [0.0, 0.1, 1.0])
def test_stays_within_the_stated_bound_of_the_true_motion(turn):
    turn, way = lidar_motion.TURN * turn, lidar_motion.WAY
    cloud = lidar_motion.cloud(np.random.default_rng(0), 3000)
    knots_ns, poses = lidar_motion.knots(11, turn, way)
    moved = deskew(cloud, knots_ns, poses).xyz
    middle = np.linalg.inv(lidar_motion.screw(lidar_motion.SPAN_NS / 2e9, turn, way))
    for xyz, time_ns, got in zip(cloud.xyz, cloud.time_ns, moved, strict=True):
        if not (np.isfinite(xyz).all() and xyz.any()):
            continue
        seconds = (time_ns - lidar_motion.FIRST_NS) * 1e-9
        exact = (middle @ lidar_motion.screw(seconds, turn, way) @ [*xyz, 1])[:3]
        # Of the arc: its radius is the distance from the axis of the turn, which is at most the
        # distance from the LiDAR and the way's radius together.
        spin = np.linalg.norm(turn)
        radius = np.linalg.norm(xyz) + (np.linalg.norm(way) / spin if spin else 0)
        bound = radius * (spin * 0.01) ** 2 / 8 + 2e-5  # float32 at 100 m
        assert np.linalg.norm(exact - got) <= bound


def test_one_knot_moves_the_sweep_as_a_whole():
    cloud = lidar_motion.cloud(np.random.default_rng(1), 50)
    pose = lidar_motion.screw(0.3)
    bare = PointCloud(cloud.xyz, cloud.intensity)
    moved = deskew(bare, np.zeros(1, np.int64), pose[None])
    assert moved.time_ns is None
    assert moved.intensity is cloud.intensity
    is_return = np.isfinite(cloud.xyz).all(axis=1) & cloud.xyz.any(axis=1)
    expected = cloud.xyz[is_return] @ pose[:3, :3].T + pose[:3, 3]
    np.testing.assert_allclose(moved.xyz[is_return], expected, atol=2e-5)


def test_points_beyond_the_knots_go_with_the_last_one():
    knots_ns, poses = np.array([100, 200]), np.stack([np.eye(4), np.eye(4)])
    poses[1, 0, 3] = 10
    xyz = np.ones((4, 3), np.float32)
    cloud = PointCloud(xyz, np.ones(4, np.float32), np.array([300, 0, 150, 200]))
    np.testing.assert_array_equal(deskew(cloud, knots_ns, poses).xyz[:, 0], [11, 1, 6, 11])


@pytest.mark.parametrize(('num_knots', 'num_poses'), [(0, 0), (2, 3), (3, 3)])
def test_refuses_knots_that_do_not_fit(num_knots, num_poses):
    bare = PointCloud(np.ones((2, 3), np.float32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match='knots, but'):
        deskew(bare, np.arange(num_knots), np.zeros((num_poses, 4, 4)))


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('num_points', [1, 2, 60])
def test_nothing_is_left_to_compile(driver, num_points):
    def kernels():
        return [
            len(kernel.signatures)
            for module in (cloud_module, point_times, deskew_module)
            for kernel in vars(module).values()
            if hasattr(kernel, 'signatures')
        ]

    compile_kernels()
    before = kernels()
    for data_type in (bytes, bytearray):
        message = message_of(driver, FLASH[:num_points])
        message.data = data_type(message.data)
        cloud = decode_cloud(message, 'lidar')
        deskew(cloud, np.zeros(1, np.int64), np.eye(4)[None])
        if cloud.span_ns is not None:
            deskew(cloud, np.array(cloud.span_ns), np.stack([np.eye(4)] * 2))
    assert kernels() == before
