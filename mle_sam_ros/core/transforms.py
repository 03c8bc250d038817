"""Rigid transforms as (4, 4) float64 matrices.

`parent_from_child` takes coordinates in the child frame to coordinates in the parent frame, so
adjacent names match in a product: `camera_from_lidar = camera_from_base @ base_from_lidar`.
"""

from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np


def matrix_from_pose(translation: np.ndarray, quaternion_xyzw: np.ndarray) -> np.ndarray:
    """(4, 4) rigid transform of a translation (3,) in metres and a unit quaternion (4,).

    Raises:
        InputError: for numbers that are not finite, or a quaternion that is not of length one
            (within 5e-3, as in tf2).
    """
    norm = float(np.linalg.norm(quaternion_xyzw))
    if not (abs(norm - 1) <= 5e-3 and np.isfinite(translation).all()):
        raise InputError(
            f'transform: expected finite numbers and a unit quaternion, got length {norm:.4g} and '
            f'{np.asarray(translation).tolist()}; fix the publisher of the transform'
        )
    x, y, z, w = np.asarray(quaternion_xyzw, np.float64) / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def matrices_from_poses(translations: np.ndarray, quaternions_xyzw: np.ndarray) -> np.ndarray:
    """(K, 4, 4) rigid transforms of translations (K, 3) and unit quaternions (K, 4)."""
    x, y, z, w = quaternions_xyzw.T
    matrices = np.zeros((len(translations), 4, 4))
    matrices[:, 0, 0] = 1 - 2 * (y * y + z * z)
    matrices[:, 0, 1] = 2 * (x * y - z * w)
    matrices[:, 0, 2] = 2 * (x * z + y * w)
    matrices[:, 1, 0] = 2 * (x * y + z * w)
    matrices[:, 1, 1] = 1 - 2 * (x * x + z * z)
    matrices[:, 1, 2] = 2 * (y * z - x * w)
    matrices[:, 2, 0] = 2 * (x * z - y * w)
    matrices[:, 2, 1] = 2 * (y * z + x * w)
    matrices[:, 2, 2] = 1 - 2 * (x * x + y * y)
    matrices[:, :3, 3] = translations
    matrices[:, 3, 3] = 1
    return matrices


def inverted(matrices: np.ndarray) -> np.ndarray:
    """(…, 4, 4) inverses of rigid transforms."""
    rotation = np.swapaxes(matrices[..., :3, :3], -1, -2)
    inverse = np.zeros_like(matrices)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ matrices[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1
    return inverse


def matrix_from_message(transform: Any) -> np.ndarray:
    """(4, 4) rigid transform of a `geometry_msgs/Transform`."""
    t, q = transform.translation, transform.rotation
    return matrix_from_pose(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))
