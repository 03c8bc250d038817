"""Interpolation between poses, and its limits."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.pose import pose_from_twist
from mle_sam_ros.core.pose_track import PoseTrack
from mle_sam_ros.core.transforms import matrices_from_poses
import numpy as np
import pytest

MS = 1_000_000
START = 1_700_000_000_000 * MS


def at(track, *times_ms):
    return track.at(START + np.array([round(time * MS) for time in times_ms], np.int64))


def turning(time_s, spin=0.7, speed=12.0):
    """Speeding ahead and turning left, as translation along x and rotation about z."""
    half = spin * time_s / 2
    return (speed * time_s, 0.0, 0.0, 0.0, 0.0, np.sin(half), np.cos(half))


def filled(times_ms, buffer_ms=10_000, pose=turning):
    track = PoseTrack(buffer_ms * MS)
    for time in times_ms:
        track.push(START + round(time * MS), pose(time * 1e-3))
    return track


def matrix(pose):
    return matrices_from_poses(np.array([pose[:3]]), np.array([pose[3:]]))[0]


@given(st.floats(0, 400))
def test_a_uniform_motion_is_met_exactly(time_ms):
    track = filled(range(0, 401, 20))
    (pose,) = at(track, time_ms)
    np.testing.assert_allclose(pose, matrix(turning(round(time_ms * MS) / 1e9)), atol=1e-12)


def circling(time_s):
    return pose_from_twist((12.0, 0, 0), (0, 0, 0.7), time_s)


@given(st.floats(300, 400))
def test_past_the_newest_sample_the_twist_stays(time_ms):
    (pose,) = at(filled(range(0, 301, 20), pose=circling), time_ms)
    np.testing.assert_allclose(pose, matrix(circling(round(time_ms * MS) / 1e9)), atol=1e-9)


def test_beyond_the_limits_nothing_is_known():
    track = filled(range(0, 301, 20))
    assert at(track, 0, 400) is not None
    assert at(track, 0, 400.001) is None
    assert at(track, -0.001, 100) is None
    assert at(PoseTrack(1), 0) is None
    assert at(filled([0]), 0) is not None
    assert at(filled([0]), 1) is None  # one sample tells no motion


def test_noise_of_two_samples_close_together_is_not_blown_up():
    track = PoseTrack(10_000 * MS)
    for time in [0, 20, 40, 60, 80, 100]:
        track.push(START + time * MS, (0, 0, 0, 0, 0, 0, 1.0))
    track.push(START + 101 * MS, (0.01, 0, 0, 0, 0, 0, 1.0))
    (pose,) = at(track, 160)
    assert abs(pose[0, 3]) < 0.02  # and not 0.6, at a centimetre per millisecond


@given(st.permutations(list(range(0, 200, 20))))
def test_order_of_arrival_does_not_matter(order):
    times = [5.0, 77.7, 180.0]
    np.testing.assert_array_equal(at(filled(order), *times), at(filled(sorted(order)), *times))


def test_of_two_samples_of_one_time_the_first_stays():
    track = filled([0, 20])
    track.push(START + 20 * MS, (99, 0, 0, 0, 0, 0, 1.0))
    assert at(track, 20)[0, 0, 3] == pytest.approx(turning(0.02)[0])


def test_old_samples_go():
    track = filled(range(0, 1001, 10), buffer_ms=500)
    assert at(track, 499) is None
    assert at(track, 500) is not None
    track.push(START + 400 * MS, turning(0.4))  # too late, and of no use
    assert at(track, 450) is None


def test_a_clock_that_goes_back_starts_anew():
    track = filled(range(5000, 6001, 20))
    track.push(START + 100 * MS, turning(0.1))
    assert at(track, 6000) is None
    assert at(track, 100) is not None


def test_opposite_signs_of_a_quaternion_are_the_same_rotation():
    track = PoseTrack(10_000 * MS)
    track.push(START, (0, 0, 0, 0, 0, 0, 1.0))
    track.push(START + 10 * MS, (0, 0, 0, 0, 0, -np.sin(0.01), -np.cos(0.01)))
    (pose,) = at(track, 5)
    np.testing.assert_allclose(np.arctan2(pose[1, 0], pose[0, 0]), 0.01, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_rotations_stay_rotations(seed):
    rng = np.random.default_rng(seed)
    track = PoseTrack(10_000 * MS)
    for time in range(0, 100, 10):
        linear, angular = rng.normal(size=3).tolist(), (3 * rng.normal(size=3)).tolist()
        track.push(START + time * MS, pose_from_twist(tuple(linear), tuple(angular), 1.0))
    poses = at(track, *rng.uniform(0, 180, 20))
    turned = poses[:, :3, :3] @ np.swapaxes(poses[:, :3, :3], 1, 2)
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-12)
