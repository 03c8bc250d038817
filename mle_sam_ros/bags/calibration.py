"""The calibration that a recording carries itself."""

from itertools import islice

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.transforms import TransformTree
import numpy as np


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
