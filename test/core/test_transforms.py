from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transforms import inverted, matrices_from_poses, matrix_from_pose
import numpy as np
import pytest


def random_pose(rng):
    quaternion = rng.normal(size=4)
    return matrix_from_pose(rng.normal(size=3), quaternion / np.linalg.norm(quaternion))


def test_quarter_turn_about_z():
    half = np.sqrt(0.5)
    matrix = matrix_from_pose(np.array([1.0, 2, 3]), np.array([0, 0, half, half]))
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [1, 3, 3, 1], atol=1e-12)


def test_many_at_once_are_as_one_by_one():
    rng = np.random.default_rng(1)
    translations, quaternions = rng.normal(size=(9, 3)), rng.normal(size=(9, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    matrices = matrices_from_poses(translations, quaternions)
    for matrix, translation, quaternion in zip(matrices, translations, quaternions, strict=True):
        np.testing.assert_allclose(matrix, matrix_from_pose(translation, quaternion), atol=1e-15)
    np.testing.assert_allclose(inverted(matrices) @ matrices, [np.eye(4)] * 9, atol=1e-14)


@pytest.mark.parametrize('quaternion', [np.zeros(4), np.array([0, 0, 0, 1.1]), [np.nan] * 4])
def test_bad_quaternion_is_refused(quaternion):
    with pytest.raises(InputError, match='unit quaternion, got length'):
        matrix_from_pose(np.zeros(3), np.asarray(quaternion))
