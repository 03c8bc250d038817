"""Calibration: where the sensors stand and how their pixels see the world."""

from dataclasses import dataclass, field

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import from_mapping, to_mapping
import numpy as np


@dataclass(frozen=True)
class Calibration:
    """What is known of the rig. What is missing stays missing: nothing is assumed.

    Attributes:
        cameras: `camera` and `event` to their models.
        camera_from: modality to (4, 4) float64 that maps its coordinates into the camera's
            optical frame (`camera_from['lidar']` is `camera_from_lidar`).
    """

    cameras: dict[str, CameraModel] = field(default_factory=dict)
    camera_from: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class _CameraEntry:
    size_hw: tuple[int, int]
    matrix: tuple[float, ...]
    distortion: tuple[float, ...] = (0.0,) * 5
    distortion_model: str = 'plumb_bob'
    rotation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class _CalibrationFile:
    cameras: dict[str, _CameraEntry] = field(default_factory=dict)
    camera_from: dict[str, tuple[tuple[float, float, float, float], ...]] = field(
        default_factory=dict
    )


def parse_calibration(mapping: object, source: str) -> Calibration:
    """Read the content of a calibration YAML file.

    ```yaml
    cameras:                 # camera and, where there is one, event
      camera:
        size_hw: [320, 640]  # pixels, of the images that are published
        matrix: [fx, 0, cx, 0, fy, cy, 0, 0, 1]
        distortion_model: plumb_bob        # or rational_polynomial, equidistant
        distortion: [k1, k2, p1, p2, k3]   # … k4, k5, k6; or k1, k2, k3, k4
        rotation: [1, 0, 0, 0, 1, 0, 0, 0, 1]  # R, of rectified images
    camera_from:             # 4 x 4, row by row, into the camera's optical frame, metres
      lidar: [[…], […], […], [0, 0, 0, 1]]
      event: [[…], […], […], [0, 0, 0, 1]]
    ```

    Of a camera, size_hw and matrix are needed; what else is left out is as above (no distortion,
    no rotation). Any number of sensors may be named, or none.

    Raises:
        InputError: for another structure, or a transform that is not rigid.
    """
    file = from_mapping(_CalibrationFile, mapping, source)
    if not (file.cameras or file.camera_from):
        raise InputError(
            f'{source}: expected cameras or camera_from, got neither; '
            'write one with mle-sam calibration'
        )
    cameras = {name: _camera(entry, f'{source}: {name}') for name, entry in file.cameras.items()}
    camera_from = {
        name: check_rigid(np.array(rows, np.float64), f'{source}: camera_from.{name}')
        for name, rows in file.camera_from.items()
    }
    return Calibration(cameras, camera_from)


def calibration_mapping(calibration: Calibration) -> dict[str, object]:
    """The content of the calibration YAML file; `parse_calibration` reads it back exactly."""
    cameras = {
        name: _CameraEntry(
            model.size_hw,
            tuple(model.matrix.ravel().tolist()),
            tuple(model.distortion.tolist()),
            model.distortion_model,
            tuple(model.rotation.ravel().tolist()),
        )
        for name, model in calibration.cameras.items()
    }
    camera_from = {
        name: tuple(tuple(row) for row in matrix.tolist())
        for name, matrix in calibration.camera_from.items()
    }
    return to_mapping(_CalibrationFile(cameras, camera_from))


def _camera(entry: _CameraEntry, where: str) -> CameraModel:
    if (len(entry.matrix), len(entry.rotation)) != (9, 9):
        raise InputError(
            f'{where}: expected 9 matrix values and 9 of a rotation, got {len(entry.matrix)} and '
            f'{len(entry.rotation)}; correct the calibration'
        )
    try:
        return CameraModel(
            entry.size_hw,
            np.array(entry.matrix).reshape(3, 3),
            np.array(entry.distortion),
            entry.distortion_model,
            np.array(entry.rotation).reshape(3, 3),
        )
    except InputError as error:
        raise InputError(f'{where}: {error}') from None


def check_rigid(matrix: np.ndarray, where: str) -> np.ndarray:
    """The same (4, 4) float64 matrix.

    Raises:
        InputError: where it is no rigid transform.
    """
    is_rigid = (
        matrix.shape == (4, 4)
        and np.isfinite(matrix).all()
        and np.allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-3)
        and np.linalg.det(matrix[:3, :3]) > 0
        and np.array_equal(matrix[3], [0, 0, 0, 1])
    )
    if not is_rigid:
        raise InputError(
            f'{where}: expected a rigid 4 x 4 transform, got {matrix.tolist()}; '
            'correct the calibration'
        )
    return matrix
