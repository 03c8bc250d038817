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
    distortion: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class _CalibrationFile:
    cameras: dict[str, _CameraEntry]
    camera_from: dict[str, tuple[tuple[float, float, float, float], ...]]


def parse_calibration(mapping: object, source: str) -> Calibration:
    """Read the content of a calibration YAML file.

    ```yaml
    cameras:                 # camera and, where there is one, event
      camera: {size_hw: [320, 640], matrix: [fx, 0, cx, 0, fy, cy, 0, 0, 1],
               distortion: [k1, k2, p1, p2, k3]}
    camera_from:             # 4 x 4, row by row, into the camera's optical frame, metres
      lidar: [[…], […], […], [0, 0, 0, 1]]
    ```

    Raises:
        InputError: for another structure, or a transform that is not rigid.
    """
    file = from_mapping(_CalibrationFile, mapping, source)
    cameras = {name: _camera(entry, f'{source}: {name}') for name, entry in file.cameras.items()}
    camera_from = {
        name: _rigid(rows, f'{source}: camera_from.{name}')
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
        )
        for name, model in calibration.cameras.items()
    }
    camera_from = {
        name: tuple(tuple(row) for row in matrix.tolist())
        for name, matrix in calibration.camera_from.items()
    }
    return to_mapping(_CalibrationFile(cameras, camera_from))


def _camera(entry: _CameraEntry, where: str) -> CameraModel:
    if len(entry.matrix) != 9 or not entry.matrix[0] > 0 or min(entry.size_hw) < 1:
        raise InputError(
            f'{where}: expected a positive size and 9 matrix values with fx > 0, got '
            f'size_hw {entry.size_hw} and matrix {entry.matrix}; correct the calibration'
        )
    matrix = np.array(entry.matrix).reshape(3, 3)
    try:
        return CameraModel(entry.size_hw, matrix, np.array(entry.distortion))
    except InputError as error:
        raise InputError(f'{where}: {error}') from None


def _rigid(rows: tuple[tuple[float, ...], ...], where: str) -> np.ndarray:
    matrix = np.array(rows, np.float64)
    is_rigid = (
        matrix.shape == (4, 4)
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
