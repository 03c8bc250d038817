from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
import messages
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transforms import matrix_from_pose, TransformTree
import numpy as np
import pytest


def random_pose(rng):
    quaternion = rng.normal(size=4)
    return matrix_from_pose(rng.normal(size=3), quaternion / np.linalg.norm(quaternion))


def test_quarter_turn_about_z():
    half = np.sqrt(0.5)
    matrix = matrix_from_pose(np.array([1.0, 2, 3]), np.array([0, 0, half, half]))
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_lookups_compose(seed):
    rng = np.random.default_rng(seed)
    base_from_camera, base_from_mast, mast_from_lidar = (random_pose(rng) for _ in range(3))
    tree = TransformTree()
    tree.set('base', 'camera', base_from_camera)
    tree.set('base', 'mast', base_from_mast)
    tree.set('mast', 'lidar', mast_from_lidar)
    camera_from_lidar = tree.lookup('camera', 'lidar')
    expected = np.linalg.inv(base_from_camera) @ base_from_mast @ mast_from_lidar
    np.testing.assert_allclose(camera_from_lidar, expected, atol=1e-9)
    np.testing.assert_allclose(
        tree.lookup('lidar', 'camera') @ camera_from_lidar, np.eye(4), atol=1e-9
    )


def test_reads_messages():
    rotation = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    transform = SimpleNamespace(
        translation=SimpleNamespace(x=1.0, y=0.0, z=2.0), rotation=rotation
    )
    stamped = SimpleNamespace(
        header=messages.header(0, 'base'), child_frame_id='lidar', transform=transform
    )
    tree = TransformTree()
    tree.update(SimpleNamespace(transforms=[stamped]))
    np.testing.assert_allclose(tree.lookup('base', 'lidar')[:3, 3], [1, 0, 2])


def test_missing_chain_names_both_frames():
    tree = TransformTree()
    tree.set('base', 'camera', np.eye(4))
    with pytest.raises(InputError, match=r"from 'lidar' to 'camera'.*publish the missing"):
        tree.lookup('camera', 'lidar')


def test_loop_is_refused():
    tree = TransformTree()
    tree.set('a', 'b', np.eye(4))
    tree.set('b', 'a', np.eye(4))
    with pytest.raises(InputError, match='loop'):
        tree.lookup('a', 'b')


def test_bad_quaternion_is_refused():
    with pytest.raises(InputError, match='unit quaternion, got length 0'):
        matrix_from_pose(np.zeros(3), np.zeros(4))
