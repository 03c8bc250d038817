"""The vehicle's motion from odometry and twists, against the curve that it drove."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
import messages
from mle_sam_ros.core.ego_motion import MeasuredMotion, MotionSettings
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pose import pose_from_twist
from mle_sam_ros.core.transforms import matrices_from_poses
import numpy as np
import pytest

MS = 1_000_000
START = 1_700_000_000_000 * MS
SPEED, SPIN = 15.0, 0.6
STANDING = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def xyz(values):
    return SimpleNamespace(**dict(zip('xyz', values, strict=True)))


def twist_of(speed, spin):
    return SimpleNamespace(linear=xyz((speed, 0.0, 0.0)), angular=xyz((0.0, 0.0, spin)))


def place(time_s, speed=SPEED, spin=SPIN):
    """On a circle."""
    return pose_from_twist((speed, 0, 0), (0, 0, spin), time_s)


def odometry(time_ms, pose, speed=SPEED, spin=SPIN, frame='base'):
    orientation = SimpleNamespace(**dict(zip('xyzw', pose[3:], strict=True)))
    return SimpleNamespace(
        header=messages.header(START + time_ms * MS, 'odom'), child_frame_id=frame,
        pose=SimpleNamespace(
            pose=SimpleNamespace(position=xyz(pose[:3]), orientation=orientation)
        ),
        twist=SimpleNamespace(twist=twist_of(speed, spin)),
    )  # fmt: skip


def twist(time_ms, speed=SPEED, spin=SPIN, frame='base', with_covariance=False):
    inner = twist_of(speed, spin)
    return SimpleNamespace(
        header=messages.header(START + time_ms * MS, frame),
        twist=SimpleNamespace(twist=inner) if with_covariance else inner,
    )


def by_pose(motion, times_ms, **changes):
    for time in times_ms:
        motion.receive_odometry(odometry(time, place(time * 1e-3), **changes), 'odometry')


def by_empty_pose(motion, times_ms):
    for time in times_ms:
        motion.receive_odometry(odometry(time, STANDING), 'odometry')


def by_zero_pose(motion, times_ms):
    for time in times_ms:
        motion.receive_odometry(odometry(time, (0.0,) * 7), 'odometry')


def by_twist(motion, times_ms):
    for time in times_ms:
        motion.receive_twist(twist(time), 'twist')


def by_twist_with_covariance(motion, times_ms):
    for time in times_ms:
        motion.receive_twist(twist(time, with_covariance=True), 'twist')


def poses(motion, reference_ms, *times_ms):
    times = START + np.array([round(time * MS) for time in times_ms], np.int64)
    return motion.body_poses(START + round(reference_ms * MS), times)


def expected(reference_ms, time_ms):
    both = np.array([place(reference_ms * 1e-3), place(time_ms * 1e-3)])
    reference, then = matrices_from_poses(both[:, :3], both[:, 3:])
    return np.linalg.inv(reference) @ then


@pytest.mark.parametrize(
    'tell', [by_pose, by_empty_pose, by_zero_pose, by_twist, by_twist_with_covariance]
)
@given(st.floats(0, 500), st.floats(0, 500))
def test_every_source_tells_the_curve(tell, reference_ms, time_ms):
    motion = MeasuredMotion()
    assert motion.body_frame is None
    tell(motion, range(0, 501, 20))
    assert motion.body_frame == 'base'
    (pose,) = poses(motion, reference_ms, time_ms)
    # Between samples 20 ms apart the chord is taken for the arc: v w t^2 / 8 is 0.5 mm.
    np.testing.assert_allclose(pose, expected(reference_ms, time_ms), atol=1e-3)


@pytest.mark.parametrize('tell', [by_pose, by_twist])
def test_a_tenth_of_a_second_ahead_and_no_more(tell):
    motion = MeasuredMotion()
    tell(motion, range(0, 501, 20))
    (pose,) = poses(motion, 600, 450)
    np.testing.assert_allclose(pose, expected(600, 450), atol=1e-3)
    for reference, time in ((601, 450), (450, -1)):
        with pytest.raises(InputError, match='motion: expected it from'):
            poses(motion, reference, time)


def test_nothing_heard_is_nothing_known():
    with pytest.raises(InputError, match='got it never'):
        poses(MeasuredMotion(), 0, 0)


def test_changing_speed_by_twists():
    """The mean of two twists is right for a speed that changes evenly."""
    motion = MeasuredMotion()
    for time in range(0, 1001, 50):
        motion.receive_twist(twist(time, speed=10 + 3 * time * 1e-3, spin=0.0), 'twist')
    (pose,) = poses(motion, 0, 1000)
    assert pose[0, 3] == pytest.approx(11.5)


def test_a_correction_of_the_pose_is_no_motion():
    motion = MeasuredMotion()
    by_pose(motion, range(0, 201, 20))
    for time in range(220, 401, 20):
        x, *rest = place(time * 1e-3)
        motion.receive_odometry(odometry(time, (x + 30, *rest)), 'odometry')
    with pytest.raises(InputError, match='motion: expected it'):
        poses(motion, 300, 200)  # across the seam
    np.testing.assert_allclose(poses(motion, 380, 260)[0], expected(380, 260), atol=1e-3)


def test_a_gap_of_more_than_half_a_second_is_a_seam():
    motion = MeasuredMotion()
    by_twist(motion, [0, 20, 520])
    poses(motion, 520, 10)
    by_twist(motion, [1040, 1060])
    with pytest.raises(InputError, match='motion: expected it'):
        poses(motion, 1050, 520)
    poses(motion, 1060, 1041)


def test_late_and_repeated_messages_change_nothing():
    motion, other = MeasuredMotion(), MeasuredMotion()
    by_twist(motion, [0, 20, 40, 60])
    by_twist(other, [0, 20])
    other.receive_twist(twist(10, speed=99.0), 'twist')
    other.receive_twist(twist(20, speed=99.0), 'twist')
    by_twist(other, [40, 60])
    np.testing.assert_array_equal(poses(motion, 60, 5, 35), poses(other, 60, 5, 35))


def test_a_bag_that_starts_again_and_another_frame_begin_anew():
    motion = MeasuredMotion()
    by_twist(motion, range(5000, 6001, 20))
    by_twist(motion, [0, 20])
    with pytest.raises(InputError, match='motion: expected it'):
        poses(motion, 6000, 5990)
    poses(motion, 20, 0)
    motion.receive_twist(twist(40, frame='imu'), 'twist')
    assert motion.body_frame == 'imu'
    with pytest.raises(InputError, match='motion: expected it'):
        poses(motion, 40, 20)


@pytest.mark.parametrize(
    ('message', 'words'),
    [
        (odometry(0, (np.nan, 0, 0, 0, 0, 0, 1)), 'odometry: expected finite numbers'),
        (odometry(0, (0, 0, 0, 0, 0, 0, 2)), 'odometry: expected a unit quaternion'),
        (odometry(0, STANDING, speed=np.nan), 'odometry: expected a twist of at most'),
        (odometry(0, STANDING, spin=1e9), 'odometry: expected a twist of at most'),
        (odometry(0, STANDING, frame=''), 'odometry: expected the frame that moves'),
    ],
)
def test_what_is_no_motion_is_refused(message, words):
    with pytest.raises(InputError, match=words):
        MeasuredMotion().receive_odometry(message, 'odometry')


def test_settings():
    with pytest.raises(InputError, match="one of none, odometry, twist, tf, got 'gps'"):
        MotionSettings('gps')
    with pytest.raises(InputError, match='fixed_frame, such as odom'):
        MotionSettings('tf')
