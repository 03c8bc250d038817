"""Cameras: where points of the world fall on an image, as `sensor_msgs/CameraInfo` says."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image_size import MAX_PIXELS
from mle_sam_ros.core.lens import distort, fold_of, NUM_COEFFICIENTS, undistort
import numba
import numpy as np


@dataclass(frozen=True, eq=False)
class CameraModel:
    """Where points of the optical frame (x right, y down, z forward) fall on the image.

    Attributes:
        size_hw: (height, width) of the image, pixels.
        matrix: (3, 3) float64, K of the CameraInfo; of a rectified image, the left of P.
        distortion: float64 coefficients in OpenCV's order: (5,) of plumb_bob, (8,) of
            rational_polynomial, (4,) of equidistant; zeros for an ideal pinhole.
        distortion_model: `plumb_bob`, `rational_polynomial` or `equidistant`.
        rotation: (3, 3) float64, from the optical frame to the image plane: R of a rectified
            image, else the identity.

    Raises:
        InputError: for intrinsics that no camera can have.
    """

    size_hw: tuple[int, int]
    matrix: np.ndarray
    distortion: np.ndarray
    distortion_model: str = 'plumb_bob'
    rotation: np.ndarray = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        height, width = self.size_hw
        if height < 1 or width < 1 or height * width > MAX_PIXELS:
            raise InputError(
                f'camera: expected a size of 1 to {MAX_PIXELS} pixels, got {width} x {height}; '
                'correct the calibration'
            )
        num_coefficients = NUM_COEFFICIENTS.get(self.distortion_model)
        if self.distortion.shape != (num_coefficients,):
            models = ', '.join(f'{name} ({number})' for name, number in NUM_COEFFICIENTS.items())
            raise InputError(
                f'camera: expected a distortion model and its coefficients among {models}, got '
                f'{self.distortion_model!r} with {self.distortion.size}; recalibrate with one'
            )
        is_usable = (
            np.isfinite(self.matrix).all()
            and np.isfinite(self.distortion).all()
            and self.matrix[0, 0] > 0
            and self.matrix[1, 1] > 0
            and self.matrix[1, 0] == 0
            and np.array_equal(self.matrix[2], [0, 0, 1])
        )
        if not is_usable:
            raise InputError(
                'camera: expected finite intrinsics with positive focal lengths and a last row of '
                f'0, 0, 1, got {self.matrix.tolist()} and {self.distortion.tolist()}; '
                'calibrate the camera'
            )
        if not (
            np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3)
            and np.linalg.det(self.rotation) > 0
        ):
            raise InputError(
                f'camera: expected a rotation, got {self.rotation.tolist()}; '
                'correct R of the CameraInfo'
            )

    @classmethod
    def from_camera_info(cls, message: Any, source: str, rectified: bool = False) -> 'CameraModel':
        """Read a `sensor_msgs/CameraInfo`.

        A region of interest and binning lead to the camera of the images as they are sent.

        Args:
            message: the CameraInfo.
            source: its topic, for error messages.
            rectified: whether the images are rectified ones, so that P and R count, not K and D.

        Raises:
            InputError: for an uncalibrated camera, another distortion model, or a wrong size.
        """
        size_hw = int(message.height), int(message.width)
        if size_hw[0] < 1 or size_hw[1] < 1:
            raise InputError(
                f'{source}: expected a positive image size, got {size_hw[1]} x {size_hw[0]}; '
                'fix the camera driver'
            )
        matrix = np.array(message.k, np.float64).reshape(3, 3)
        name, rotation = 'K', np.eye(3)
        distortion_model, distortion = _distortion(message)
        if rectified:
            projection = np.array(message.p, np.float64).reshape(3, 4)
            if projection[:2, 3].any():
                raise InputError(
                    f'{source}: expected P[3] = P[7] = 0, got {projection[0, 3]:g} and '
                    f'{projection[1, 3]:g}, of the second camera of a stereo pair; use the first '
                    'camera, or the raw image'
                )
            matrix, name = projection[:, :3], 'P'
            rotation = np.array(message.r, np.float64).reshape(3, 3)
            distortion_model, distortion = 'plumb_bob', np.zeros(5)
        if not (matrix[0, 0] > 0 and matrix[1, 1] > 0 and np.isfinite(matrix).all()):
            raise InputError(
                f'{source}: expected a calibrated camera ({name}[0] > 0), got {name}[0] = '
                f'{matrix[0, 0]:g}; calibrate it or give a calibration file'
            )
        try:
            full = cls(size_hw, matrix, distortion, distortion_model, rotation)
        except InputError as error:
            raise InputError(f'{source}: {error}') from None
        return full._window(message, source)

    def camera_info_fields(self) -> dict[str, Any]:
        """The fields of a `sensor_msgs/CameraInfo` that say the same, all but the header.

        Lists and numbers. Read it back with `rectified` where the image is a rectified one.
        """
        height, width = self.size_hw
        return {
            'height': height,
            'width': width,
            'distortion_model': self.distortion_model,
            'd': self.distortion.tolist(),
            'k': self.matrix.ravel().tolist(),
            'r': self.rotation.ravel().tolist(),
            'p': np.hstack([self.matrix, np.zeros((3, 1))]).ravel().tolist(),
        }

    @property
    def lens_kind(self) -> int:
        """The distortion model as `core.lens` numbers it."""
        return list(NUM_COEFFICIENTS).index(self.distortion_model)

    @cached_property
    def coefficients(self) -> np.ndarray:
        """(8,) float64, the distortion as `core.lens.distort` takes it."""
        return np.pad(self.distortion.astype(np.float64), (0, 8 - self.distortion.size))

    @cached_property
    def plane_from_camera(self) -> np.ndarray:
        """(4, 4) float64, from the optical frame to the frame that `distort` projects from."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        return matrix

    def agrees_with(self, other: 'CameraModel') -> bool:
        """Whether both project every point alike."""
        return (
            self.size_hw == other.size_hw
            and self.distortion_model == other.distortion_model
            and np.array_equal(self.matrix, other.matrix)
            and np.array_equal(self.distortion, other.distortion)
            and np.array_equal(self.rotation, other.rotation)
        )

    def check_image_size(self, image_hw: tuple[int, int], source: str) -> None:
        """Reject images of another size than this model's.

        Raises:
            InputError: which names both sizes.
        """
        if image_hw != self.size_hw:
            (height, width), (image_height, image_width) = self.size_hw, image_hw
            raise InputError(
                f'{source}: expected images of {width} x {height} as the calibration says, got '
                f'{image_width} x {image_height}; publish the CameraInfo of these images (with '
                'its roi and binning), or correct the calibration file'
            )

    def scaled_to(self, size_hw: tuple[int, int]) -> 'CameraModel':
        """The camera that gives this image stretched to another size.

        Pixel centres are integers, so a pixel's edge, not its centre, stays at the origin.
        """
        if size_hw == self.size_hw:
            return self  # with what it has computed
        (height, width), (new_height, new_width) = self.size_hw, size_hw
        scale = np.diag([new_width / width, new_height / height, 1.0])
        matrix = scale @ self.matrix
        matrix[0, 2] += (scale[0, 0] - 1) / 2
        matrix[1, 2] += (scale[1, 1] - 1) / 2
        return replace(self, size_hw=size_hw, matrix=matrix)

    def project(self, points_camera: np.ndarray) -> np.ndarray:
        """Pixels of points in front of the camera.

        Args:
            points_camera: (N, 3) metres, optical frame, z > 0; the caller drops the others, which
                would fall into the image as ghosts.

        Returns:
            (N, 2) float64 pixels (u, v); may lie outside the image.
        """
        points = np.asarray(points_camera, np.float64) @ self.rotation.T
        matrix = np.ascontiguousarray(self.matrix, np.float64)
        return _project(points, matrix, self.lens_kind, self.coefficients)

    def covers(self, points_camera: np.ndarray) -> np.ndarray:
        """Which points lie ahead, where the calibration holds: no others may be projected.

        Args:
            points_camera: (N, 3) metres, optical frame.

        Returns:
            (N,) bool; what is covered may still fall outside the image.
        """
        x, y, z = (np.asarray(points_camera, np.float64) @ self.rotation.T).T
        with np.errstate(invalid='ignore'):  # no limit times no depth
            return (z > 0) & (x * x + y * y <= self.squared_radius_limit * z * z)

    def rays(self) -> np.ndarray:
        """(H, W, 3) float64 directions through the pixel centres, optical frame, z = 1.

        NaN where the lens sends no ray from ahead, as at the corners of a fisheye's image.
        """
        height, width = self.size_hw
        u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
        plane = np.ones((u.size, 3))
        plane[:, :2] = self._ideal(np.stack([u.ravel(), v.ravel()], axis=1))
        if not np.array_equal(self.rotation, np.eye(3)):
            plane = plane @ self.rotation
            plane /= plane[:, 2:]
        return plane.reshape(height, width, 3)

    @cached_property
    def squared_radius_limit(self) -> float:
        """Largest x² + y² (z = 1) of the ideal image plane that the calibration covers.

        Beyond the corners the distortion polynomial folds back and would throw points from the
        side into the image. The limit is 1.2 times the farthest corner, or the radius where the
        polynomial turns, whichever is nearer.
        """
        height, width = self.size_hw
        corners = self._ideal(np.array([[0.0, 0], [width, 0], [0, height], [width, height]]))
        farthest = float((corners**2).sum(axis=1).max())  # NaN: a corner that is past the fold
        return self.fold if np.isnan(farthest) else min(1.2**2 * farthest, self.fold)

    @cached_property
    def fold(self) -> float:
        """The x² + y² (z = 1) where the lens folds the image back; inf if it never does."""
        return fold_of(self.lens_kind, self.coefficients)

    def _ideal(self, pixels: np.ndarray) -> np.ndarray:
        """(N, 2) pixels to the ideal image plane, without the distortion; NaN where none is."""
        homogeneous = np.column_stack([pixels, np.ones(len(pixels))])
        distorted = np.ascontiguousarray((homogeneous @ np.linalg.inv(self.matrix).T)[:, :2])
        return undistort(self.lens_kind, self.coefficients, self.fold, distorted)

    def _window(self, message: Any, source: str) -> 'CameraModel':
        """The camera of the region that is read out, binned; all of it where none is given."""
        height, width = self.size_hw
        roi = message.roi
        left, top = int(roi.x_offset), int(roi.y_offset)
        # All zeros stand for the whole image, and a binning of 0 for none.
        window_width = int(roi.width) or width - left
        window_height = int(roi.height) or height - top
        across, down = int(message.binning_x) or 1, int(message.binning_y) or 1
        if (
            window_width < across
            or window_height < down
            or left + window_width > width
            or top + window_height > height
        ):
            raise InputError(
                f'{source}: expected a region of interest within {width} x {height} that is not '
                f'smaller than a binned pixel, got {window_width} x {window_height} at '
                f'({left}, {top}), binned {across} x {down}; fix the camera driver'
            )
        # Pixels left over at the end of a row fill no binned pixel.
        binned_hw = window_height // down, window_width // across
        matrix = self.matrix.copy()
        matrix[:2, 2] -= left, top
        whole = replace(self, size_hw=(binned_hw[0] * down, binned_hw[1] * across), matrix=matrix)
        return whole.scaled_to(binned_hw)


@numba.njit(nogil=True, cache=True)
def _project(points, matrix, lens_kind, coefficients):
    pixels = np.empty((len(points), 2))
    for i in range(len(points)):
        z = points[i, 2]
        x, y = distort(lens_kind, coefficients, points[i, 0] / z, points[i, 1] / z)
        pixels[i, 0] = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
        pixels[i, 1] = matrix[1, 1] * y + matrix[1, 2]
    return pixels


def _distortion(message: Any) -> tuple[str, np.ndarray]:
    """Model and coefficients of a CameraInfo.

    Calibrators differ in the zeros behind the coefficients, and drivers in what they call no
    distortion.
    """
    model, distortion = message.distortion_model, np.array(message.d, np.float64)
    wanted = NUM_COEFFICIENTS.get(model)
    if distortion.size == 0 or (wanted is None and not distortion.any()):
        return 'plumb_bob', np.zeros(5)
    if model == 'plumb_bob' and distortion.size == 4:  # OpenCV's shortest
        return model, np.append(distortion, 0.0)
    if wanted is not None and not distortion[wanted:].any():
        return model, distortion[:wanted]
    return model, distortion
