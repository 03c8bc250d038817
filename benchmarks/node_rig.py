"""The rig that `benchmarks/node.py` drives nodes with: its calibration and its messages.

Full HD camera at 30 Hz, LiDAR of 262,144 points at 10 Hz, HD event camera with 10 million events
per second in 100 packets.
"""

from collections.abc import Callable
from typing import Any

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
import numpy as np

MS = 1_000_000
PERIODS_S = {'camera': 1 / 30, 'lidar': 0.1, 'event': 0.01}
TOPICS = {
    'camera': ('camera/image', 'sensor_msgs/msg/Image'),
    'lidar': ('lidar/points', 'sensor_msgs/msg/PointCloud2'),
    'event': ('events', 'sensor_msgs/msg/PointCloud2'),
}
NUM_POINTS, NUM_EVENTS = 262_144, 100_000
IMAGE_HW, EVENT_HW = (1080, 1920), (720, 1280)
CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.2], [1, 0, 0, 0], [0, 0, 0, 1]])


def _camera(size_hw: tuple[int, int], focal_px: float) -> CameraModel:
    height, width = size_hw
    matrix = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return CameraModel(size_hw, matrix, np.array([-0.1, 0.01, 0, 0, 0]))


CALIBRATION = Calibration(
    {'camera': _camera(IMAGE_HW, 1150), 'event': _camera(EVENT_HW, 800)},
    {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4)},
)


def serialized() -> dict[str, bytearray]:
    """One message of each stream, stamped 0, as the middleware carries it."""
    random = np.random.default_rng(0)
    makers: dict[str, Callable[[np.random.Generator], Any]] = {
        'camera': _image,
        'lidar': _sweep,
        'event': _events,
    }
    return {
        stream: bytearray(typestore().serialize_cdr(make(random), TOPICS[stream][1]))
        for stream, make in makers.items()
    }


def _image(random: np.random.Generator) -> Any:
    pixels = random.integers(0, 256, (*IMAGE_HW, 3), np.uint8)
    return messages.image(pixels, 'rgb8', 0, 'camera')


def _sweep(random: np.random.Generator) -> Any:
    points = np.zeros(NUM_POINTS, [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
    azimuth = np.linspace(-np.pi, np.pi, NUM_POINTS)
    elevation = np.radians(random.uniform(-25, 15, NUM_POINTS))
    range_m = random.uniform(2, 100, NUM_POINTS)
    points['x'] = range_m * np.cos(elevation) * np.cos(azimuth)
    points['y'] = range_m * np.cos(elevation) * np.sin(azimuth)
    points['z'] = range_m * np.sin(elevation)
    points['intensity'] = random.uniform(0, 255, NUM_POINTS)
    return messages.point_cloud(points, 0, 'lidar')


def _events(random: np.random.Generator) -> Any:
    height, width = EVENT_HW
    events = Events(
        random.integers(0, width, NUM_EVENTS).astype(np.uint16),
        random.integers(0, height, NUM_EVENTS).astype(np.uint16),
        np.sort(random.integers(0, 10 * MS, NUM_EVENTS)).astype(np.int64),
        random.integers(0, 2, NUM_EVENTS).astype(np.uint8),
    )
    return messages.event_cloud(events, 0, 'event')
