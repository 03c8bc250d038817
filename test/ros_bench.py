"""A bench for the node: sensors that publish over real DDS, and ears for what comes back."""

from collections import defaultdict
from collections.abc import Callable, Collection
import os
import threading
import time

from bundles import write_tiny_bundle
from lifecycle_msgs.srv import GetState
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.calibration import Calibration, calibration_mapping
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.trust import present_of
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.process import whole_delivery
import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile
import yaml

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'

MS = 1_000_000
# Whoever waits so long waits in vain, on however busy a machine, with kernels still to compile.
PATIENCE_S = 120.0
PERIOD_NS = 100 * MS  # of the camera
_ANSWER_S = 5.0
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


# With these parameters a camera that is late is waited for: every mask has a frame of its own.
STEADY_CAMERA = {'alignment.camera.timeout_ns': 60_000 * MS}


def every_output() -> dict[str, str | int]:
    """Parameters for outputs that wait for a bench that stands still."""
    return {f'qos_overrides./mle_sam/perception/{name}.publisher.depth': 100 for name in OUTPUTS}


def write_rig(directory, calibration: Calibration = CALIBRATION) -> dict[str, str | int]:
    """A tiny bundle and a calibration file, as the node's parameters."""
    bundle = write_tiny_bundle(directory / 'tiny')
    path = directory / 'calibration.yaml'
    path.write_text(yaml.safe_dump(calibration_mapping(calibration)))
    return {
        'bundle': str(bundle.directory),
        'calibration_file': str(path),
        **whole_delivery(['/mle_sam/camera/image', '/mle_sam/lidar/points', '/mle_sam/events']),
        **every_output(),
    }


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
        self._get_state = self.node.create_client(GetState, f'{node}/get_state')
        self._listen('/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', 'diagnostics')
        for name, kind in OUTPUTS.items():
            self._listen(f'{node}/{name}', kind, name)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._due_ns = time.time_ns()  # two benches never share a stamp
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def close(self) -> None:
        # In this order: nothing is taken away under the thread that uses it.
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def __enter__(self) -> 'Bench':
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def wait_for_node(self, streams: Collection[str] = tuple(TOPICS)) -> None:
        """Until the bench knows the node's subscriptions to these streams, and its masks.

        The node may not know the bench yet: what is reliable is kept for it, and of everything
        else, and of outputs that are made for subscribers alone, the first may be lost.
        """
        publishers = [self._publishers[stream] for stream in streams]
        wait_until(
            lambda: (
                all(publisher.get_subscription_count() for publisher in publishers)
                and self.node.count_publishers(self._mask_topic)
            )
        )

    def wait_until_silent(self) -> None:
        """Until the bench knows that the node neither subscribes nor publishes any longer."""
        wait_until(
            lambda: (
                not any(p.get_subscription_count() for p in self._publishers.values())
                and not self.node.count_publishers(self._mask_topic)
            )
        )

    def state(self) -> int:
        """The node's state; it answers after all that reached it before."""
        wait_until(self._get_state.service_is_ready)
        deadline_s = time.monotonic() + PATIENCE_S
        answered = threading.Event()
        while time.monotonic() < deadline_s:
            answer = self._get_state.call_async(GetState.Request())
            answer.add_done_callback(lambda _: answered.set())
            # To a client that it does not know yet, the node's answer is lost.
            if answered.wait(_ANSWER_S):
                return answer.result().current_state.id
        raise AssertionError(f'no answer within {PATIENCE_S} s')

    def send(self, stream: str, message) -> None:
        kind = (TOPICS | MORE_TOPICS)[stream][1]
        self.sent[stream].append(stamp_ns_of(message))
        self._publishers[stream].publish(bytes(typestore().serialize_cdr(message, kind)))

    def drive(self, ticks: int, without: Collection[str] = ()) -> None:
        """Camera at 10 Hz, LiDAR at 5 Hz, events at 50 Hz, for ticks of 20 ms.

        Stamps keep to the schedule exactly. A machine that stood still leaves out whole periods.
        """
        for tick in range(ticks):
            self._due_ns += 20 * MS
            late_ns = time.time_ns() - self._due_ns
            self._due_ns += max(0, late_ns // PERIOD_NS * PERIOD_NS)
            time.sleep(max(0.0, -late_ns * 1e-9))
            if 'event' not in without:
                self.send('event', event_message(self._due_ns))
            if tick % 10 == 3 and 'lidar' not in without:
                self.send('lidar', lidar_message(self._due_ns - 100 * MS))
            if tick % 5 == 4 and 'camera' not in without:
                self.send('camera', camera_message(self._due_ns - 2 * MS))

    def drive_until(self, condition: Callable[[], object], without: Collection[str] = ()) -> None:
        """Drive on until the condition holds: sensors that pause meanwhile would be stale."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, f'not within {PATIENCE_S} s'
            self.drive(10, without)

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
        wait_until(lambda: len(self.received['diagnostics']) >= target)

    def settled_frames(self) -> dict[str, str]:
        """The values of `frames`, once they tell what became of every camera frame sent."""
        num_sent = str(len(self.sent['camera']))

        def is_settled() -> bool:
            values = self.values('frames')
            return values.get('received') == num_sent and values['waiting'] == '0'

        wait_until(is_settled)
        return self.values('frames')

    def _listen(self, topic: str, kind: str, name: str) -> None:
        self.node.create_subscription(
            message_class(kind), topic, self.received[name].append, QoSProfile(depth=100)
        )

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass


def wait_until(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f'not within {timeout_s} s'
        time.sleep(0.02)


def frame_counts(values: dict[str, str]) -> dict[str, int]:
    """Counts of a settled account of frames, which add up."""
    counts = {k: int(values[k]) for k in ('received', 'emitted', 'superseded', 'rejected')}
    decided = counts['emitted'] + counts['superseded'] + counts['rejected']
    assert counts['received'] == decided, values
    return counts


def present_by_stamp(router_weights) -> dict[int, frozenset[str]]:
    """Which sensors took part, by the stamp of the mask."""
    return {stamp_ns_of(array): present_of(statuses_of(array)) for array in router_weights}


def statuses_of(array) -> dict[str, dict[str, str]]:
    """The values of each status of a DiagnosticArray, by name."""
    return {s.name: {pair.key: pair.value for pair in s.values} for s in array.status}
