"""Rigid transforms between named frames, as (4, 4) float64 matrices.

`parent_from_child` takes coordinates in the child frame to coordinates in the parent frame, so
adjacent names match in a product: `camera_from_lidar = camera_from_base @ base_from_lidar`.
"""

from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np


def matrix_from_pose(translation: np.ndarray, quaternion_xyzw: np.ndarray) -> np.ndarray:
    """(4, 4) rigid transform of a translation (3,) in metres and a unit quaternion (4,).

    Raises:
        InputError: for a quaternion that is not of length one (within 1e-3).
    """
    norm = float(np.linalg.norm(quaternion_xyzw))
    if not abs(norm - 1) < 1e-3:
        raise InputError(
            f'transform: expected a unit quaternion, got length {norm:.4g}; '
            'fix the publisher of the transform'
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


def matrix_from_message(transform: Any) -> np.ndarray:
    """(4, 4) rigid transform of a `geometry_msgs/Transform`."""
    t, q = transform.translation, transform.rotation
    return matrix_from_pose(np.array([t.x, t.y, t.z]), np.array([q.x, q.y, q.z, q.w]))


class TransformTree:
    """Static transforms by frame names, as `/tf_static` publishes them."""

    def __init__(self) -> None:
        self._parent_from: dict[str, tuple[str, np.ndarray]] = {}

    def set(self, parent: str, child: str, parent_from_child: np.ndarray) -> None:
        """Remember one transform; a later one of the same child replaces it."""
        self._parent_from[child] = (parent, parent_from_child)

    def update(self, message: Any) -> None:
        """Remember every transform of a `tf2_msgs/TFMessage`."""
        for item in message.transforms:
            matrix = matrix_from_message(item.transform)
            self.set(item.header.frame_id, item.child_frame_id, matrix)

    def connects(self, target: str, source: str) -> bool:
        """Whether the two frames hang together, so that `lookup` has an answer."""
        return self._to_root(target)[0] == self._to_root(source)[0]

    def lookup(self, target: str, source: str) -> np.ndarray:
        """(4, 4) target_from_source.

        Raises:
            InputError: where the two frames do not hang together.
        """
        root_of_target, root_from_target = self._to_root(target)
        root_of_source, root_from_source = self._to_root(source)
        if root_of_target != root_of_source:
            known = ', '.join(sorted(self._parent_from)) or 'none'
            raise InputError(
                f'transforms: expected a chain from {source!r} to {target!r}, got the frames '
                f'{known}; publish the missing static transform'
            )
        return np.linalg.inv(root_from_target) @ root_from_source

    def _to_root(self, frame: str) -> tuple[str, np.ndarray]:
        root_from_frame = np.eye(4)
        visited = set()
        while frame in self._parent_from:
            if frame in visited:
                raise InputError(
                    f'transforms: expected a tree, got a loop through {frame!r}; '
                    'fix the publishers of the static transforms'
                )
            visited.add(frame)
            frame, parent_from_child = self._parent_from[frame]
            root_from_frame = parent_from_child @ root_from_frame
        return frame, root_from_frame
