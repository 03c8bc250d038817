"""Where sensors stand: frames, a given calibration, moving mounts and a moving vehicle."""

from types import SimpleNamespace

import messages
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.ego_motion import MotionSettings
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.rig import MISPLACED, Misplacement, Rig
import numpy as np
import pytest

MS = 1_000_000
START = 1_700_000_000_000 * MS
STILL = (0.0, 0.0, 0.0, 1.0)
# Optical axes (x right, y down, z forward) in a base of x forward, y left, z up.
OPTICAL = (-0.5, 0.5, -0.5, 0.5)
SPEED = 20.0


def transforms(*items):
    return messages.transforms(*items)


def odometry(time_ms, speed=SPEED, frame='base'):
    """Of a vehicle that drives ahead."""
    x = speed * time_ms * 1e-3
    pose = SimpleNamespace(
        position=SimpleNamespace(x=x, y=0.0, z=0.0),
        orientation=SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0),
    )
    twist = SimpleNamespace(
        linear=SimpleNamespace(x=speed, y=0.0, z=0.0),
        angular=SimpleNamespace(x=0.0, y=0.0, z=0.0),
    )
    return SimpleNamespace(
        header=messages.header(START + time_ms * MS, 'odom'), child_frame_id=frame,
        pose=SimpleNamespace(pose=pose), twist=SimpleNamespace(twist=twist),
    )  # fmt: skip


def cloud(*times_ms):
    time_ns = None if not times_ms else START + np.array(times_ms, np.int64) * MS
    return PointCloud(np.ones((3, 3), np.float32), np.ones(3, np.float32), time_ns)


def placed(rig, points, reference_ms=0, middle_ms=-50, offset_ms=0):
    return rig.place(
        'lidar', points, START + reference_ms * MS, START + middle_ms * MS, offset_ms * MS
    )


def heard(motion=None, given=None):
    rig = Rig(given or {}, motion)
    rig.hear_frame('camera', 'camera')
    rig.hear_frame('lidar', 'laser')
    rig.receive(
        'tf_static',
        transforms(('base', 'camera', (2.0, 0, 1), OPTICAL), ('base', 'laser', (1, 0, 2), STILL)),
    )
    return rig


@pytest.fixture
def driving():
    """At 20 m/s, heard until 20 ms ago."""
    rig = heard(MotionSettings('odometry'))
    for time in range(-200, -19, 20):
        rig.receive('odometry', odometry(time))
    return rig


def test_it_comes_together_from_frames_and_transforms():
    rig = Rig({})
    assert rig.missing('lidar') == 'no message has named the frame of camera'
    rig.hear_frame('camera_info', 'camera')  # a camera that sends no images
    assert rig.missing('lidar') == 'no message has named the frame of lidar'
    rig.hear_frame('lidar', 'laser')
    assert rig.missing('lidar') == "no transform from 'laser' to 'camera'"
    with pytest.raises(InputError, match=r"lidar: .*from 'laser' to 'camera'.*/tf_static"):
        rig.camera_from('lidar')
    rig.receive('tf_static', transforms(('base', 'camera', (2.0, 0, 1), OPTICAL)))
    assert rig.missing('lidar')
    rig.receive('tf_static', transforms(('base', 'laser', (1.0, 0, 2), STILL)))
    assert rig.missing('lidar') is None
    # The LiDAR stands a metre above and behind the camera.
    np.testing.assert_allclose(rig.camera_from('lidar')[:3, 3], [0, -1, -1], atol=1e-12)


def test_it_is_looked_up_once_while_nothing_changes():
    rig = heard()
    first = rig.camera_from('lidar')
    rig.hear_frame('lidar', 'laser')
    assert rig.camera_from('lidar', START) is first
    rig.hear_frame('lidar', 'camera')  # the driver restarts with another frame
    np.testing.assert_array_equal(rig.camera_from('lidar'), np.eye(4))
    rig.hear_frame('lidar', 'nowhere')
    assert rig.missing('lidar') == "no transform from 'nowhere' to 'camera'"


def test_what_is_given_wins():
    given = np.diag([1.0, -1, -1, 1])
    rig = heard(given={'lidar': given})
    assert rig.camera_from('lidar', START) is given
    assert Rig({'lidar': given}).missing('lidar') is None


def test_a_moving_mount_is_taken_at_the_exposure_and_held_for_a_second():
    rig = heard()
    rig.hear_frame('lidar', 'head')
    for time in range(0, 101, 10):
        rig.receive(
            'tf', transforms(('base', 'head', (time * 1e-2, 0, 0), STILL, START + time * MS))
        )
    assert rig.missing('lidar') is None
    assert rig.camera_from('lidar', START + 55 * MS)[2, 3] == pytest.approx(0.55 - 2)
    assert rig.camera_from('lidar', START + 1100 * MS)[2, 3] == pytest.approx(1.0 - 2)
    assert rig.camera_from('lidar')[2, 3] == pytest.approx(1.0 - 2)
    with pytest.raises(InputError, match=r"lidar: .* from 'head' to 'camera' of the last"):
        rig.camera_from('lidar', START + 1101 * MS)
    sweep = placed(rig, cloud(), reference_ms=1101)
    assert not len(sweep.camera_from_lidar)
    assert 'of the last second' in sweep.fault


def test_without_a_motion_source_sweeps_stay_as_measured():
    sweep = placed(heard(), cloud(-100, -50, 0))
    assert sweep.camera_from_lidar.shape == (1, 4, 4)
    assert not sweep.is_moved
    assert not sweep.fault


def ahead_m(sweep):
    """How far the LiDAR was ahead of where the camera is at the exposure."""
    return sweep.camera_from_lidar[:, 2, 3].tolist()


def test_each_knot_is_seen_from_where_the_camera_is_at_the_exposure(driving):
    sweep = placed(driving, cloud(-100, -50, -20))
    assert sweep.is_moved
    assert len(sweep.knots_ns) == 9  # 80 ms in steps of 10
    assert (sweep.knots_ns[[0, -1]] == [START - 100 * MS, START - 20 * MS]).all()
    expected = -1 + SPEED * (sweep.knots_ns - START) * 1e-9
    np.testing.assert_allclose(ahead_m(sweep), expected, atol=1e-9)
    assert driving.to_mapping() == {'moved': 1, 'unmoved': 0}


def test_without_point_times_the_sweep_goes_as_a_whole(driving):
    sweep = placed(driving, cloud(), middle_ms=-70)
    assert sweep.is_moved
    assert ahead_m(sweep) == pytest.approx([-1 - SPEED * 0.07])


def test_points_on_another_clock_are_brought_to_the_common_one(driving):
    sweep = placed(driving, cloud(900, 950, 980), offset_ms=-1000)
    assert (sweep.knots_ns[[0, -1]] == [START + 900 * MS, START + 980 * MS]).all()
    assert ahead_m(sweep)[0] == pytest.approx(-1 - SPEED * 0.1)


@pytest.mark.parametrize('reference_ms', [81, -201, 5000])
def test_where_the_motion_is_unknown_nothing_is_compensated_and_it_is_said(driving, reference_ms):
    sweep = placed(driving, cloud(-100, -50, -20), reference_ms=reference_ms)
    assert not sweep.is_moved
    assert ahead_m(sweep) == [-1]
    assert 'motion: expected it from' in sweep.fault
    assert driving.to_mapping() == {'moved': 0, 'unmoved': 1}


def test_a_base_that_is_nowhere_on_the_rig_is_said():
    rig = heard(MotionSettings('odometry'))
    for time in range(-200, 1, 20):
        rig.receive('odometry', odometry(time, frame='imu'))
    assert "no transform from 'imu' to 'camera'" in placed(rig, cloud()).fault
    given = {'base': rig.camera_from('lidar')}
    rig = heard(MotionSettings('odometry'), given)
    for time in range(-200, 1, 20):
        rig.receive('odometry', odometry(time, frame='imu'))
    assert placed(rig, cloud()).is_moved


def test_mounts_are_what_stands_for_good():
    rig = heard()
    mounts = rig.mounts()
    assert {frame: parent for frame, (parent, _) in mounts.items()} == {
        'camera': 'base', 'laser': 'camera'
    }  # fmt: skip
    base_from_lidar = mounts['camera'][1] @ mounts['laser'][1]
    np.testing.assert_allclose(base_from_lidar[:3, 3], (1, 0, 2), atol=1e-12)
    np.testing.assert_array_equal(mounts['laser'][1], rig.camera_from('lidar'))
    assert rig.mounts() is mounts
    rig.hear_frame('camera_info', 'camera')
    rig.hear_frame('ground', 'base')
    assert rig.mounts().keys() == mounts.keys()
    # What moves has no place for good, and nothing that hangs on it.
    rig.hear_frame('event', 'turret')
    rig.receive('tf', transforms(('base', 'turret', (0, 0, 1), STILL)))
    assert rig.mounts().keys() == mounts.keys()


def test_without_transforms_a_given_calibration_hangs_on_the_camera():
    rig = Rig({'lidar': np.eye(4)})
    assert rig.mounts() == {}
    rig.hear_frame('camera', '/camera')
    rig.hear_frame('lidar', '/laser')
    rig.hear_frame('event', 'nowhere')
    ((frame, (parent, matrix)),) = rig.mounts().items()
    assert (frame, parent) == ('laser', 'camera')
    np.testing.assert_array_equal(matrix, np.eye(4))


@pytest.mark.parametrize('is_given', [True, False])
def test_a_misplaced_sensor_stands_elsewhere_wherever_its_place_came_from(is_given):
    right = heard().camera_from('lidar')
    rig = heard(given={'lidar': right} if is_given else None)
    error = np.eye(4)
    error[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    error[:3, 3] = 0.1, 0, 0
    rig.receive(MISPLACED, Misplacement('lidar_2', np.eye(4)))
    np.testing.assert_array_equal(rig.camera_from('lidar'), right)
    rig.receive(MISPLACED, Misplacement('lidar', error))
    np.testing.assert_array_equal(rig.camera_from('lidar'), right @ error)
    np.testing.assert_array_equal(placed(rig, cloud()).camera_from_lidar[0], right @ error)
    np.testing.assert_array_equal(rig.mounts()['laser'][1], right @ error)
    rig.receive(MISPLACED, Misplacement('lidar', np.eye(4)))
    np.testing.assert_array_equal(rig.camera_from('lidar'), right)
    np.testing.assert_array_equal(rig.mounts()['laser'][1], right)


def test_motion_from_tf():
    rig = heard(MotionSettings('tf', 'odom'))
    assert "'camera'" in placed(rig, cloud()).fault
    for time in range(-200, 1, 20):
        item = ('odom', 'base', (SPEED * time * 1e-3, 0, 0), STILL, START + time * MS)
        rig.receive('tf', transforms(item))
    sweep = placed(rig, cloud(-100, -50, 0), reference_ms=10)
    assert sweep.is_moved
    assert ahead_m(sweep)[0] == pytest.approx(-1 - SPEED * 0.11)
    assert ahead_m(sweep)[-1] == pytest.approx(-1 - SPEED * 0.01)
