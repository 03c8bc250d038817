"""A bench for the node: sensors that publish over real DDS, and ears for what comes back."""

from collections import defaultdict
from collections.abc import Callable
import os
import threading
import time

from bundles import write_tiny_bundle
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
from mle_sam_ros.ros.message_types import message_class
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile
import yaml

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

MS = 1_000_000
CAMERA = CameraModel((48, 96), np.array([[48.0, 0, 47.5], [0, 48, 23.5], [0, 0, 1]]), np.zeros(5))
# The LiDAR's x forward, y left, z up in the camera's z forward, x right, y down.
CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
CALIBRATION = Calibration(
    {'camera': CAMERA, 'event': CAMERA}, {'lidar': CAMERA_FROM_LIDAR, 'event': np.eye(4)}
)
TOPICS = {
    'camera': ('camera/image', 'sensor_msgs/msg/Image'),
    'camera_info': ('camera/camera_info', 'sensor_msgs/msg/CameraInfo'),
    'event': ('events', 'sensor_msgs/msg/PointCloud2'),
    'event_camera_info': ('events/camera_info', 'sensor_msgs/msg/CameraInfo'),
    'lidar': ('lidar/points', 'sensor_msgs/msg/PointCloud2'),
}
# Of other bundles and parameters.
MORE_TOPICS = {
    'compressed': ('camera/image/compressed', 'sensor_msgs/msg/CompressedImage'),
    'lidar_2': ('lidar_2/points', 'sensor_msgs/msg/PointCloud2'),
    'depth': ('depth/image', 'sensor_msgs/msg/Image'),
    'odometry': ('odometry', 'nav_msgs/msg/Odometry'),
}
OUTPUTS = {
    'mask': 'sensor_msgs/msg/Image',
    'confidence': 'sensor_msgs/msg/Image',
    'overlay': 'sensor_msgs/msg/Image',
    'router_weights': 'diagnostic_msgs/msg/DiagnosticArray',
    'camera_info': 'sensor_msgs/msg/CameraInfo',
}
_RANDOM = np.random.default_rng(3)
PIXELS = _RANDOM.integers(0, 256, (*CAMERA.size_hw, 3), np.uint8)
POINTS = np.zeros(500, [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
POINTS['x'] = _RANDOM.uniform(5, 20, 500)
POINTS['y'] = _RANDOM.uniform(-5, 5, 500)
POINTS['z'] = _RANDOM.uniform(-2, 2, 500)


def every_frame(topic: str = '/mle_sam/camera/image') -> dict[str, str | int]:
    """Parameters for a camera of which nothing is lost on the way, however busy the machine."""
    qos = f'qos_overrides.{topic}.subscription'
    return {f'{qos}.reliability': 'reliable', f'{qos}.depth': 100}


def write_rig(directory, calibration: Calibration = CALIBRATION) -> dict[str, str | int]:
    """A tiny bundle and a calibration file, as the node's parameters."""
    bundle = write_tiny_bundle(directory / 'tiny')
    path = directory / 'calibration.yaml'
    path.write_text(yaml.safe_dump(calibration_mapping(calibration)))
    return {'bundle': str(bundle.directory), 'calibration_file': str(path), **every_frame()}


def camera_message(stamp_ns: int):
    return messages.image(PIXELS, 'rgb8', stamp_ns, 'camera_optical_frame')


def lidar_message(stamp_ns: int):
    return messages.point_cloud(POINTS, stamp_ns, 'lidar_frame')


def event_message(end_ns: int, count: int = 20):
    """A packet of events in the 20 ms up to `end_ns`."""
    t_ns = np.linspace(end_ns - 19 * MS, end_ns, count).astype(np.int64)
    events = Events(
        _RANDOM.integers(0, 96, count).astype(np.uint16),
        _RANDOM.integers(0, 48, count).astype(np.uint16),
        t_ns,
        _RANDOM.integers(0, 2, count).astype(np.uint8),
    )
    return messages.event_cloud(events, end_ns - 20 * MS, 'event_camera_optical_frame')


def stamp_ns_of(message) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Bench:
    """Publishes sensors and collects outputs, on one ROS domain, until closed."""

    def __init__(self, domain_id: int, node: str = '/mle_sam/perception') -> None:
        self.received = defaultdict(list)
        self.sent: dict[str, list[int]] = defaultdict(list)
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain_id)
        self.node = rclpy.create_node('bench', context=self._context)
        namespace = node.rsplit('/', 1)[0]
        self._publishers = {
            stream: self.node.create_publisher(message_class(kind), f'{namespace}/{topic}', 100)
            for stream, (topic, kind) in (TOPICS | MORE_TOPICS).items()
        }
        self._mask_topic = f'{node}/mask'
        self._listen('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', 'diagnostics')
        for name, kind in OUTPUTS.items():
            self._listen(f'{node}/{name}', kind, name)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        rclpy.shutdown(context=self._context)
        self._thread.join()

    def __enter__(self) -> 'Bench':
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def wait_for_node(self, streams=tuple(TOPICS), timeout_s: float = 15) -> None:
        """Until the node listens and the bench hears it, too."""
        publishers = [self._publishers[stream] for stream in streams]
        wait_until(
            lambda: (
                all(p.get_subscription_count() for p in publishers)
                and self.node.count_publishers(self._mask_topic)
            ),
            timeout_s,
        )
        time.sleep(0.3)  # the other side of each match

    def send(self, stream: str, message) -> None:
        kind = (TOPICS | MORE_TOPICS)[stream][1]
        self.sent[stream].append(stamp_ns_of(message))
        self._publishers[stream].publish(bytes(typestore().serialize_cdr(message, kind)))

    def drive(self, ticks: int, alive: Callable[[str, int], bool] = lambda stream, tick: True):
        """Camera at 10 Hz, LiDAR at 5 Hz, events at 50 Hz, for ticks of 20 ms."""
        start_s = time.monotonic()
        for tick in range(ticks):
            time.sleep(max(0.0, start_s + 0.02 * tick - time.monotonic()))
            now_ns = time.time_ns()
            if alive('event', tick):
                self.send('event', event_message(now_ns))
            if tick % 10 == 3 and alive('lidar', tick):
                self.send('lidar', lidar_message(now_ns - 100 * MS))
            if tick % 5 == 4 and alive('camera', tick):
                self.send('camera', camera_message(now_ns - 2 * MS))

    def status(self, name: str):
        """The latest diagnostic status of that name, or None."""
        for array in reversed(self.received['diagnostics']):
            for status in array.status:
                if status.name.endswith(f': {name}'):
                    return status
        return None

    def values(self, name: str) -> dict[str, str]:
        status = self.status(name)
        return {pair.key: pair.value for pair in status.values} if status else {}

    def next_diagnostics(self, count: int = 2) -> None:
        """Until that many more reports came."""
        target = len(self.received['diagnostics']) + count
        wait_until(lambda: len(self.received['diagnostics']) >= target, 10)

    def _listen(self, topic: str, kind: str, name: str) -> None:
        self.node.create_subscription(
            message_class(kind), topic, self.received[name].append, QoSProfile(depth=100)
        )

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass


def wait_until(condition: Callable[[], object], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f'not within {timeout_s} s'
        time.sleep(0.02)
