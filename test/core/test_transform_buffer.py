"""Frames and their transforms: against products of matrices, and the words of tf2."""

from hypothesis import given
from hypothesis import strategies as st
import messages
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transform_buffer import TransformBuffer
import numpy as np
import pytest
from test_transforms import random_pose

MS = 1_000_000
START = 1_700_000_000_000 * MS
STILL = (0.0, 0.0, 0.0, 1.0)


def hear(buffer, *items, is_static=False):
    buffer.receive(messages.transforms(*items), 'tf', is_static)


def moving(parent, child, x_of, times_ms):
    """(parent, child, …) samples of a translation along x."""
    return [(parent, child, (x_of(t), 0, 0), STILL, START + t * MS) for t in times_ms]


def times(*times_ms):
    return START + np.array(times_ms, np.int64) * MS


@pytest.fixture
def driving():
    """A base that goes at 10 m/s through odom, heard for a second; camera and LiDAR on it."""
    buffer = TransformBuffer()
    hear(buffer, *moving('odom', 'base', lambda t: t * 0.01, range(0, 1001, 20)))
    hear(buffer, ('base', 'camera', (2, 0, 1), STILL), is_static=True)
    hear(buffer, ('base', 'laser', (1, 0, 2), STILL), is_static=True)
    return buffer


@given(st.integers(0, 2**32 - 1))
def test_lookups_compose(seed):
    rng = np.random.default_rng(seed)
    base_from_camera, base_from_mast, mast_from_lidar = (random_pose(rng) for _ in range(3))
    buffer = TransformBuffer()
    buffer.set('base', 'camera', base_from_camera)
    buffer.set('base', 'mast', base_from_mast)
    buffer.set('mast', 'lidar', mast_from_lidar)
    camera_from_lidar = buffer.static('camera', 'lidar')
    expected = np.linalg.inv(base_from_camera) @ base_from_mast @ mast_from_lidar
    np.testing.assert_allclose(camera_from_lidar, expected, atol=1e-9)
    back = buffer.static('lidar', 'camera')
    np.testing.assert_allclose(back @ camera_from_lidar, np.eye(4), atol=1e-9)
    (at_a_time,) = buffer.lookup('camera', 'lidar', times(0))
    np.testing.assert_allclose(at_a_time, expected, atol=1e-9)


def test_what_moves_above_both_frames_does_not_matter(driving):
    np.testing.assert_allclose(driving.static('camera', 'laser')[:3, 3], [-1, 0, 1])
    assert driving.newest_ns('camera', 'laser') is None
    assert driving.static('odom', 'laser') is None
    assert driving.newest_ns('odom', 'laser') == START + 1000 * MS


def test_two_times_through_a_fixed_frame(driving):
    moved = driving.lookup_through('camera', START + 500 * MS, 'laser', times(450, 500), 'odom')
    # What the LiDAR saw 50 ms before the exposure is half a metre nearer by then.
    np.testing.assert_allclose(moved[:, :3, 3], [[-1.5, 0, 1], [-1, 0, 1]], atol=1e-9)


def test_beyond_what_was_heard_the_error_names_the_frames(driving):
    driving.lookup('odom', 'laser', times(0, 1100))
    for outside in (-1, 1101):
        with pytest.raises(InputError, match=r"'odom' from 'laser' at .* got 'base' in 'odom'"):
            driving.lookup('odom', 'laser', times(500, outside))


def test_a_missing_chain_names_both_frames(driving):
    assert not driving.connects('camera', 'radar')
    with pytest.raises(InputError, match=r"from 'radar' to 'camera'.*publish the missing"):
        driving.lookup('camera', 'radar', times(0))


def test_a_frame_is_itself_without_being_heard_of(driving):
    np.testing.assert_array_equal(driving.static('radar', 'radar'), np.eye(4))


def test_a_loop_is_refused_and_nothing_else(driving):
    with pytest.raises(InputError, match=r"'odom' in 'laser': expected a tree, got a loop"):
        hear(driving, ('laser', 'odom', (0, 0, 0), STILL), ('base', 'radar', (0, 0, 0), STILL),
             is_static=True)  # fmt: skip
    assert driving.connects('camera', 'laser')
    assert driving.connects('camera', 'radar')


def test_slashes_before_names_do_not_count(driving):
    hear(driving, ('/base', '/radar', (3, 0, 0), STILL), is_static=True)
    np.testing.assert_allclose(driving.static('/camera', 'radar')[:3, 3], [1, 0, -1])


@pytest.mark.parametrize(
    ('item', 'expected'),
    [
        (('base', 'x', (np.nan, 0, 0), STILL), "'x' in 'base': expected finite numbers"),
        (('base', 'x', (0, 0, 0), (0, 0, 0, 0)), "'x' in 'base': expected a unit quaternion"),
        (('base', '', (0, 0, 0), STILL), 'expected two frames'),
        (('base', '/base', (0, 0, 0), STILL), 'expected two frames'),
    ],
)
@pytest.mark.parametrize('is_static', [False, True])
def test_bad_transforms_are_refused_and_good_ones_beside_them_heard(item, expected, is_static):
    buffer = TransformBuffer()
    with pytest.raises(InputError, match=expected):
        hear(buffer, item, ('base', 'laser', (1, 0, 0), STILL, START), is_static=is_static)
    assert buffer.connects('base', 'laser')
    assert not buffer.connects('base', 'x')


def test_what_is_static_stays_static(driving):
    hear(driving, *moving('base', 'laser', lambda t: 7.0, [0, 20]))
    np.testing.assert_allclose(driving.static('base', 'laser')[:3, 3], [1, 0, 2])
    hear(driving, ('base', 'laser', (4, 0, 2), STILL), is_static=True)
    np.testing.assert_allclose(driving.static('base', 'laser')[:3, 3], [4, 0, 2])
    hear(driving, ('map', 'base', (4, 0, 2), STILL), is_static=True)
    assert driving.static('map', 'base') is not None


def test_a_parent_that_changes_begins_anew(driving):
    hear(driving, *moving('map', 'base', lambda t: 5.0, [1000, 1020]))
    assert not driving.connects('odom', 'base')
    assert driving.lookup('map', 'base', times(1010))[0, 0, 3] == 5.0
    with pytest.raises(InputError, match='expected'):
        driving.lookup('map', 'base', times(900))


def test_a_bag_that_starts_again(driving):
    hear(driving, *moving('odom', 'base', lambda t: t * 0.01, [-5000]))
    with pytest.raises(InputError, match='expected'):
        driving.lookup('odom', 'base', times(500))
    assert driving.static('camera', 'laser') is not None


def test_the_version_tells_of_what_is_fixed_only(driving):
    version = driving.version
    hear(driving, *moving('odom', 'base', lambda t: t * 0.01, [1020, 1040]))
    hear(driving, ('base', 'laser', (1, 0, 2), STILL), is_static=True)  # the same again
    assert driving.version == version
    hear(driving, ('base', 'laser', (1, 0, 3), STILL), is_static=True)
    assert driving.version > version
