"""Calibrations from outside: of a file, or as a recording carries it itself."""

from itertools import islice
from pathlib import Path

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.calibration import Calibration, parse_calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transforms import TransformTree
import numpy as np
import yaml


def read_calibration(path: Path | str) -> Calibration:
    """Read a calibration file; see `core.calibration.parse_calibration` for its format.

    Raises:
        InputError: for a missing file, one that is not YAML, or another structure.
    """
    try:
        mapping = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected a calibration file (YAML), got {reason}; '
            'give the right path, or write one with mle-sam calibration'
        ) from None
    return parse_calibration(mapping, str(path))


def calibration_of(bag: BagReader, topics: Topics) -> Calibration:
    """Read camera models and mounting poses from a recording.

    The models come from the first CameraInfo of each camera, the poses from every message of
    /tf_static, between the frames that the sensors' own messages name. What the recording does not
    say stays missing.

    Args:
        bag: the recording.
        topics: its streams.

    Raises:
        InputError: for a CameraInfo that cannot be used, or transforms that form no tree.
    """
    infos = {'camera': topics.camera_info, 'event': topics.event_camera_info}
    cameras = {}
    for name, topic in infos.items():
        for item in islice(bag.messages([topic] if topic else []), 1):
            cameras[name] = CameraModel.from_camera_info(item.message, f'{bag.path}: {topic}')
    frames = {
        'camera': _frame(bag, topics.camera),
        'event': _frame(bag, topics.event_camera_info or topics.event),
        'lidar': _frame(bag, topics.lidar),
    }
    return Calibration(cameras, _camera_from(bag, topics.tf_static, frames))


def _camera_from(
    bag: BagReader, topic: str | None, frames: dict[str, str | None]
) -> dict[str, np.ndarray]:
    tree = TransformTree()
    camera = frames['camera']
    try:
        for item in bag.messages([topic] if topic else []):
            tree.update(item.message)
        return {
            name: tree.lookup(camera, frame)
            for name, frame in frames.items()
            if name != 'camera' and frame and camera and tree.connects(camera, frame)
        }
    except InputError as error:
        raise InputError(f'{bag.path}: {topic}: {error}') from None


def _frame(bag: BagReader, topic: str | None) -> str | None:
    """The frame of the first message."""
    for item in islice(bag.messages([topic] if topic else []), 1):
        return item.message.header.frame_id
    return None
