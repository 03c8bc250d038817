"""The pinhole camera of `sensor_msgs/CameraInfo` with plumb_bob distortion."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from mle_sam_ros.core.errors import InputError
import numpy as np


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Where points of the optical frame (x right, y down, z forward) fall on the raw image.

    Attributes:
        size_hw: (height, width) of the image, pixels.
        matrix: (3, 3) float64, K of the CameraInfo.
        distortion: (5,) float64, k1, k2, p1, p2, k3 of plumb_bob; zeros for an ideal pinhole.

    Raises:
        InputError: for intrinsics that no camera can have.
    """

    size_hw: tuple[int, int]
    matrix: np.ndarray
    distortion: np.ndarray

    def __post_init__(self) -> None:
        is_usable = (
            np.isfinite(self.matrix).all()
            and np.isfinite(self.distortion).all()
            and self.matrix[0, 0] > 0
            and self.matrix[1, 1] > 0
            and np.array_equal(self.matrix[2], [0, 0, 1])
        )
        if not is_usable:
            raise InputError(
                'camera: expected finite intrinsics with positive focal lengths and a last row of '
                f'0, 0, 1, got {self.matrix.tolist()} and {self.distortion.tolist()}; '
                'calibrate the camera'
            )

    @classmethod
    def from_camera_info(cls, message: Any, source: str) -> 'CameraModel':
        """Read a `sensor_msgs/CameraInfo`.

        Raises:
            InputError: for an uncalibrated camera, another distortion model, or a wrong size.
        """
        matrix = np.array(message.k, np.float64).reshape(3, 3)
        distortion = np.array(message.d, np.float64)
        if not (matrix[0, 0] > 0 and matrix[1, 1] > 0 and np.isfinite(matrix).all()):
            raise InputError(
                f'{source}: expected a calibrated camera (K[0] > 0), got K[0] = {matrix[0, 0]}; '
                'calibrate it or give a calibration file'
            )
        if message.height < 1 or message.width < 1:
            raise InputError(
                f'{source}: expected a positive image size, got {message.width} x '
                f'{message.height}; fix the camera driver'
            )
        if distortion.size == 0:
            distortion = np.zeros(5)
        elif message.distortion_model != 'plumb_bob' or distortion.size != 5:
            raise InputError(
                f'{source}: expected distortion_model plumb_bob with 5 coefficients, got '
                f'{message.distortion_model!r} with {distortion.size}; recalibrate with plumb_bob'
            )
        return cls((int(message.height), int(message.width)), matrix, distortion)

    def agrees_with(self, other: 'CameraModel') -> bool:
        """Whether both project every point alike."""
        return (
            self.size_hw == other.size_hw
            and np.array_equal(self.matrix, other.matrix)
            and np.array_equal(self.distortion, other.distortion)
        )

    def scaled_to(self, size_hw: tuple[int, int]) -> 'CameraModel':
        """The camera that gives this image stretched to another size.

        Pixel centres are integers, so a pixel's edge, not its centre, stays at the origin.
        """
        (height, width), (new_height, new_width) = self.size_hw, size_hw
        scale = np.diag([new_width / width, new_height / height, 1.0])
        matrix = scale @ self.matrix
        matrix[0, 2] += (scale[0, 0] - 1) / 2
        matrix[1, 2] += (scale[1, 1] - 1) / 2
        return CameraModel(size_hw, matrix, self.distortion)

    def project(self, points_camera: np.ndarray) -> np.ndarray:
        """Pixels of points in front of the camera.

        Args:
            points_camera: (N, 3) metres, optical frame, z > 0; the caller drops the others, which
                would fall into the image as ghosts.

        Returns:
            (N, 2) float64 pixels (u, v); may lie outside the image.
        """
        points = np.asarray(points_camera, np.float64)
        x, y = points[:, 0] / points[:, 2], points[:, 1] / points[:, 2]
        k1, k2, p1, p2, k3 = self.distortion
        squared = x * x + y * y
        radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
        x_distorted = x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x * x)
        y_distorted = y * radial + p1 * (squared + 2 * y * y) + 2 * p2 * x * y
        (fx, skew, cx), (_, fy, cy) = self.matrix[:2]
        u = fx * x_distorted + skew * y_distorted + cx
        return np.stack([u, fy * y_distorted + cy], axis=1)

    def rays(self) -> np.ndarray:
        """(H, W, 3) float64 directions through the pixel centres, optical frame, z = 1."""
        height, width = self.size_hw
        u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        pixels = np.stack([u.ravel(), v.ravel(), np.ones(u.size)])
        return self._undistorted(np.linalg.inv(self.matrix) @ pixels).reshape(height, width, 3)

    def _undistorted(self, distorted: np.ndarray) -> np.ndarray:
        """Invert the distortion of (3, N) rays with z = 1; returns (N, 3)."""
        k1, k2, p1, p2, k3 = self.distortion
        xd, yd, _ = distorted
        x, y = xd, yd
        for _ in range(50):  # a fixed point: converges wherever the polynomial is invertible
            squared = x * x + y * y
            radial = 1 + squared * (k1 + squared * (k2 + squared * k3))
            x, y = (
                (xd - 2 * p1 * x * y - p2 * (squared + 2 * x * x)) / radial,
                (yd - p1 * (squared + 2 * y * y) - 2 * p2 * x * y) / radial,
            )
        return np.stack([x, y, np.ones_like(x)], axis=1)

    @cached_property
    def squared_radius_limit(self) -> float:
        """Largest x² + y² (z = 1) of the ideal image that the calibration covers.

        Beyond the corners the distortion polynomial folds back and would throw points from the
        side into the image. The limit is 1.2 times the farthest corner, or the radius where the
        polynomial turns, whichever is nearer.
        """
        height, width = self.size_hw
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
        ideal = self._undistorted(np.linalg.inv(self.matrix) @ corners)[:, :2]
        limit = 1.2**2 * float((ideal**2).sum(axis=1).max())
        k1, k2, _, _, k3 = self.distortion
        # d/dr of r (1 + k1 r² + k2 r⁴ + k3 r⁶) as a polynomial in r².
        roots = np.roots([7 * k3, 5 * k2, 3 * k1, 1])
        turns = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real > 0)]
        return min(limit, float(turns.min())) if turns.size else limit
