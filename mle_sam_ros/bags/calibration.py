"""The calibration that a recording carries itself."""

from itertools import islice

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.rig import Rig

_CAMERAS = {'camera': 'camera_info', 'event': 'event_camera_info'}
_PLACED = ('event', 'lidar')


def calibration_of(bag: BagReader, topics: Topics, camera_rectified: bool = False) -> Calibration:
    """Read camera models and mounting poses from a recording.

    The models come from the first CameraInfo of each camera, the poses from every message of
    /tf_static, between the frames that the sensors' own messages name. What the recording does not
    say stays missing, and so do sensors on moving mounts.

    Args:
        bag: the recording.
        topics: its streams.
        camera_rectified: whether P and R of the camera's CameraInfo count, not K and D.

    Raises:
        InputError: for a CameraInfo that cannot be used, or transforms that form no tree.
    """
    cameras = {}
    for name, info in _CAMERAS.items():
        topic = getattr(topics, info)
        for item in islice(bag.messages([topic] if topic else []), 1):
            is_rectified = name == 'camera' and camera_rectified
            cameras[name] = CameraModel.from_camera_info(
                item.message, f'{bag.path}: {topic}', is_rectified
            )
    rig = Rig({})
    try:
        hear_rig(bag, topics, rig)
        placed = [name for name in _PLACED if rig.missing(name) is None]
        return Calibration(cameras, {name: rig.camera_from(name) for name in placed})
    except InputError as error:
        raise InputError(f'{bag.path}: {topics.tf_static}: {error}') from None


def hear_rig(bag: BagReader, topics: Topics, rig: Rig) -> None:
    """Tell a rig what stands before all else: the static transforms, and every sensor's frame.

    Raises:
        InputError: for a transform that is none.
    """
    for item in bag.messages([topics.tf_static] if topics.tf_static else []):
        rig.receive('tf_static', item.message)
    streams = {name: getattr(topics, name) for name in (*_CAMERAS, *_CAMERAS.values(), 'lidar')}
    for stream, topic in (streams | dict(topics.others)).items():
        for item in islice(bag.messages([topic] if topic else []), 1):
            rig.hear_frame(stream, item.message.header.frame_id)
