"""The topics and frames of converted recordings, and how their sensors are mounted."""

from collections.abc import Iterable, Iterator
from heapq import merge
from operator import itemgetter
from pathlib import Path
from typing import Any

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
import numpy as np
from tqdm import tqdm

# (log time, topic, message); each stream in order of log time.
Item = tuple[int, str, Any]
FRAMES = {
    'camera': 'camera_optical_frame',
    'event': 'event_camera_optical_frame',
    'lidar': 'lidar_frame',
}
POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
TIMED_POINT = np.dtype([*POINT.descr, ('t', '<u4'), ('ring', '<u2')])
# Recordings whose clock starts at zero: a ROS clock there would mean that there is none.
EPOCH_NS = 1_000_000_000 * 1_000_000_000


class Rig:
    """Makes messages of measurements, with the calibration beside them."""

    def __init__(self, calibration: Calibration) -> None:
        """Take what the data set says; what it does not say is not written."""
        self._calibration = calibration

    def mounting(self, stamp_ns: int) -> Iterator[Item]:
        """The poses of the sensors in the camera's frame, on /tf_static."""
        poses = [
            messages.transform(FRAMES['camera'], FRAMES[name], pose, stamp_ns)
            for name, pose in self._calibration.camera_from.items()
        ]
        if poses:
            yield stamp_ns, '/tf_static', messages.transforms(poses)

    def frame(
        self, image: np.ndarray, stamp_ns: int, labels: np.ndarray | None = None
    ) -> Iterator[Item]:
        """A camera image, its CameraInfo and its label map, all logged at their stamp.

        Args:
            image: (H, W, 3) uint8, red, green, blue.
            stamp_ns: the middle of the exposure, where the data set tells it.
            labels: (H, W) uint8 class ids, 255 where unknown.
        """
        yield from self._camera_info('camera', '/camera/camera_info', stamp_ns)
        frame_id = FRAMES['camera']
        if labels is not None:
            labels_message = messages.image(labels, 'mono8', stamp_ns, frame_id)
            yield stamp_ns, '/ground_truth/labels', labels_message
        yield stamp_ns, '/camera/image', messages.image(image, 'rgb8', stamp_ns, frame_id)

    def event_camera_info(self, stamp_ns: int) -> Iterator[Item]:
        """The intrinsics of the event camera."""
        yield from self._camera_info('event', '/event_camera/camera_info', stamp_ns)

    def sweep(self, points: np.ndarray, stamp_ns: int, log_time_ns: int) -> Item:
        """A LiDAR sweep.

        Args:
            points: (N,) of `POINT` or `TIMED_POINT`.
            stamp_ns: the time that `t` counts from; without `t`, the middle of the sweep.
            log_time_ns: when it was complete.
        """
        message = messages.point_cloud(points, stamp_ns, FRAMES['lidar'])
        return log_time_ns, '/lidar/points', message

    def _camera_info(self, name: str, topic: str, stamp_ns: int) -> Iterator[Item]:
        if name in self._calibration.cameras:
            camera = self._calibration.cameras[name]
            yield stamp_ns, topic, messages.camera_info(camera, stamp_ns, FRAMES[name])


def write_streams(
    out: Path, streams: Iterable[Iterator[Item]], custom_data: dict[str, str], total: int
) -> None:
    """Write streams into one bag, which appears whole or not at all.

    Args:
        out: the `.mcap` file.
        streams: each in order of log time.
        custom_data: what to note about the whole.
        total: messages to come, as far as known, for the progress bar.

    Raises:
        InputError: whatever the streams raise, or for a stream that is not in order.
    """
    last_ns = 0
    with (
        BagWriter(out, custom_data) as bag,
        tqdm(total=total, desc='convert', unit=' messages', disable=None) as progress,
    ):
        for log_time_ns, topic, message in merge(*streams, key=itemgetter(0)):
            if log_time_ns < last_ns:
                raise InputError(
                    f'{out}: expected {topic} in order of time, got {log_time_ns} ns after '
                    f'{last_ns} ns; the data set is damaged, download it again'
                )
            last_ns = log_time_ns
            bag.write(topic, message, log_time_ns)
            progress.update()
