"""A drive of a second or two, small enough to replay many times."""

from pathlib import Path

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
import numpy as np

MS = 1_000_000
START = 1_700_000_000_000 * MS
SIZE_HW = (80, 160)
PERIOD = 50 * MS
CAMERA = CameraModel(SIZE_HW, np.array([[90.0, 0, 79.5], [0, 90, 39.5], [0, 0, 1]]), np.zeros(5))
CAMERA_FRAME, EVENT_FRAME, LIDAR_FRAME = 'camera_optical_frame', 'event_frame', 'lidar_frame'
# Optical axes (x right, y down, z forward) in a base of x forward, y left, z up.
BASE_FROM_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def write_drive(
    path: Path,
    num_frames: int = 20,
    *,
    silent: dict[str, range] | None = None,
    without: tuple[str, ...] = (),
    breaks: dict[int, dict[str, object]] | None = None,
    num_classes: int = 11,
) -> Path:
    """Write a bag.

    Args:
        path: the `.mcap` file.
        num_frames: camera frames, 20 Hz.
        silent: stream to the frames during which it says nothing.
        without: topics to leave out.
        breaks: index of a camera frame to the fields of its message to replace.
        num_classes: ids in the labels.
    """
    random = np.random.default_rng(3)
    silent = silent or {}
    queue = []

    def add(topic, message, log_time_ns):
        if topic not in without:
            queue.append((log_time_ns, len(queue), topic, message))

    add('/camera/camera_info', messages.camera_info(CAMERA, START, CAMERA_FRAME), START)
    add('/event_camera/camera_info', messages.camera_info(CAMERA, START, EVENT_FRAME), START)
    poses = {CAMERA_FRAME: BASE_FROM_OPTICAL, EVENT_FRAME: BASE_FROM_OPTICAL}
    poses[LIDAR_FRAME] = np.eye(4)
    transforms = [messages.transform('base_link', f, m, START) for f, m in poses.items()]
    add('/tf_static', messages.transforms(transforms), START)
    for index in range(num_frames):
        stamp = START + (index + 2) * PERIOD
        for part in range(5 if index not in silent.get('event', ()) else 0):
            begin = stamp - PERIOD + part * 10 * MS
            packet = messages.event_packet(
                burst(random, begin), SIZE_HW, begin, EVENT_FRAME, index
            )
            add('/event_camera/events', packet, begin + 11 * MS)
        if index % 2 == 0 and index not in silent.get('lidar', ()):
            sweep_stamp = stamp - 100 * MS
            cloud = messages.point_cloud(sweep(random), sweep_stamp, LIDAR_FRAME)
            add('/lidar/points', cloud, stamp + 1 * MS)
        if index not in silent.get('camera', ()):
            pixels = random.integers(0, 256, (*SIZE_HW, 3), np.uint8)
            image = messages.image(pixels, 'rgb8', stamp, CAMERA_FRAME)
            for field, value in (breaks or {}).get(index, {}).items():
                setattr(image, field, value)
            add('/camera/image', image, stamp + 5 * MS)
        labels = np.sort(random.integers(0, num_classes, SIZE_HW, np.uint8), axis=0)
        add('/ground_truth/labels', messages.image(labels, 'mono8', stamp, CAMERA_FRAME), stamp)
    with BagWriter(path) as bag:
        for log_time_ns, _, topic, message in sorted(queue, key=lambda item: item[:2]):
            bag.write(topic, message, log_time_ns)
    return path


def burst(random: np.random.Generator, begin_ns: int, count: int = 40) -> Events:
    """Events in the 10 ms from `begin_ns` on, the last one at their end."""
    t_ns = begin_ns + np.sort(random.integers(1, 10_000, count)) * 1000
    t_ns[-1] = begin_ns + 10 * MS
    return Events(
        random.integers(0, SIZE_HW[1], count).astype(np.uint16),
        random.integers(0, SIZE_HW[0], count).astype(np.uint16),
        t_ns,
        random.integers(0, 2, count).astype(np.uint8),
    )


def sweep(random: np.random.Generator, count: int = 300) -> np.ndarray:
    """Returns ahead of the vehicle."""
    points = np.zeros(count, [(name, '<f4') for name in ('x', 'y', 'z', 'intensity')])
    points['x'] = random.uniform(4, 40, count)
    points['y'] = random.uniform(-8, 8, count)
    points['z'] = random.uniform(-2, 4, count)
    points['intensity'] = random.uniform(0, 100, count)
    return points
