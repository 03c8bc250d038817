"""The calibration of the MUSES data set: its `calib.json`."""

from collections.abc import Collection, Mapping
from typing import Any

from mle_sam_ros.core.calibration import Calibration, parse_calibration
from mle_sam_ros.core.errors import InputError

FRAME_HW = (1080, 1920)
EVENT_HW = (720, 1280)


def is_muses_calibration(content: object) -> bool:
    """Whether a file's content looks like a `calib.json` of MUSES."""
    return isinstance(content, Mapping) and {'intrinsics', 'extrinsics'} <= set(content)


def parse_muses_calibration(
    content: Any, source: str, sensors: Collection[str] = ('event', 'lidar')
) -> Calibration:
    """What `calib.json` says of the camera and of these sensors.

    Frames and events are free of distortion as they are published.

    Args:
        content: of the file.
        source: the file, for error messages.
        sensors: among `event` and `lidar`.

    Raises:
        InputError: for a file that lacks a matrix, or a matrix that none can have.
    """
    try:
        intrinsics, extrinsics = content['intrinsics'], content['extrinsics']
        cameras = {'camera': _camera(intrinsics['rgb']['K'], FRAME_HW)}
        if 'event' in sensors:
            cameras['event'] = _camera(intrinsics['event']['K'], EVENT_HW)
        camera_from = {name: extrinsics[f'{name}2rgb'] for name in sensors}
    except (KeyError, TypeError) as error:
        raise InputError(
            f'{source}: expected intrinsics.rgb.K, intrinsics.event.K, extrinsics.lidar2rgb and '
            f'extrinsics.event2rgb, got none for {error}; download it again'
        ) from None
    return parse_calibration({'cameras': cameras, 'camera_from': camera_from}, source)


def _camera(matrix: list[list[float]], size_hw: tuple[int, int]) -> dict[str, object]:
    return {'size_hw': list(size_hw), 'matrix': [value for row in matrix for value in row]}
