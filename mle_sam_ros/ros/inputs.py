"""The node's subscriptions, and what each of them has seen."""

from collections.abc import Callable
from dataclasses import dataclass
import threading
import time
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import (
    EventEncoding,
    LidarEncoding,
    Manifest,
    ModalitySpec,
    RgbEncoding,
)
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.ros.message_types import message_class
from mle_sam_ros.ros.parameters import NodeParameters
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions

_PACKET = 'event_camera_msgs/msg/EventPacket'
_CLOUD = 'sensor_msgs/msg/PointCloud2'
_INFO = 'sensor_msgs/msg/CameraInfo'
_IMAGE = 'sensor_msgs/msg/Image'
_TRANSFORMS = 'tf2_msgs/msg/TFMessage'
_CAMERAS = {
    'raw': ('camera/image', _IMAGE),
    'compressed': ('camera/image/compressed', 'sensor_msgs/msg/CompressedImage'),
}
_MOTIONS = {
    'odometry': ('odometry', 'nav_msgs/msg/Odometry'),
    'twist': ('twist', 'geometry_msgs/msg/TwistStamped'),
}


@dataclass(frozen=True)
class InputSpec:
    """A subscription: the pipeline's stream, the topic relative to the node, and its type.

    Attributes:
        stream: name of the stream in the pipeline.
        topic: relative to the node's namespace; remap it.
        type: `package/msg/Type`.
        depth: messages that the middleware holds.
        is_steady: whether silence is a fault.
    """

    stream: str
    topic: str
    type: str
    depth: int
    is_steady: bool = True


def input_specs(manifest: Manifest, parameters: NodeParameters) -> list[InputSpec]:
    """What the node subscribes to for a model.

    Raises:
        InputError: where the package of a message that is asked for is not installed.
    """
    specs = [InputSpec('camera_info', 'camera/camera_info', _INFO, 5, is_steady=False)]
    for modality in manifest.modalities:
        specs += _specs_of(modality, parameters)
    if parameters.motion in _MOTIONS:
        specs.append(InputSpec(parameters.motion, *_MOTIONS[parameters.motion], 50))
    needs_moving = parameters.motion == 'tf' or parameters.moving_extrinsics
    if needs_moving:
        specs.append(InputSpec('tf', '/tf', _TRANSFORMS, 100))
    if needs_moving or is_installed(_TRANSFORMS):
        specs.append(InputSpec('tf_static', '/tf_static', _TRANSFORMS, 100, is_steady=False))
    for spec in specs:
        message_class(spec.type)
    return specs


def _specs_of(modality: ModalitySpec, parameters: NodeParameters) -> list[InputSpec]:
    if isinstance(modality.encoding, RgbEncoding):
        return [InputSpec('camera', *_CAMERAS[parameters.camera_message], 5)]
    if isinstance(modality.encoding, LidarEncoding):
        numbers = range(2, parameters.num_lidars + 1)
        streams = ['lidar', *(f'lidar_{number}' for number in numbers)]
        return [InputSpec(stream, f'{stream}/points', _CLOUD, 5) for stream in streams]
    if isinstance(modality.encoding, EventEncoding):
        return [
            # Drivers send up to a thousand packets per second.
            InputSpec('event', 'events', _event_type(parameters.event_message), 1024),
            InputSpec('event_camera_info', 'events/camera_info', _INFO, 5, is_steady=False),
        ]
    return [InputSpec(modality.name, f'{modality.name}/image', _IMAGE, 5)]


def _event_type(event_message: str) -> str:
    is_packet = event_message == 'packet' or (event_message == 'auto' and is_installed(_PACKET))
    return _PACKET if is_packet else _CLOUD


def is_installed(name: str) -> bool:
    """Whether there is a message type of that name (`package/msg/Type`) here."""
    try:
        message_class(name)
    except InputError:
        return False
    return True


class Input:
    """A live subscription with its counters."""

    def __init__(self, node: Node, spec: InputSpec, submit: Callable[[str, Any], None]) -> None:
        """Subscribe.

        Args:
            node: owner.
            spec: what to subscribe to.
            submit: takes the stream and the message, and returns at once.
        """
        self.spec = spec
        self.received = 0
        self.lost = 0
        self.faults = 0
        self.last_fault = ''
        self.incompatible_qos = 0
        self._last_s: float | None = None
        self._last_stamp_ns: int | None = None
        self._delay_ns = 0
        self._lock = threading.Lock()
        self._node = node
        self._submit = submit
        self.subscription = node.create_subscription(
            message_class(spec.type),
            spec.topic,
            self._receive,
            _qos(spec),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            event_callbacks=SubscriptionEventCallbacks(
                message_lost=self._lose, incompatible_qos=self._mismatch
            ),
        )

    @property
    def topic(self) -> str:
        """Its name after namespace and remapping."""
        return self.subscription.topic_name

    @property
    def silence_s(self) -> float | None:
        """Seconds since the last message; None before the first."""
        return None if self._last_s is None else time.monotonic() - self._last_s

    @property
    def stamp_s(self) -> float:
        """The last message's stamp, in seconds; 0 before the first, or if it has none."""
        return (self._last_stamp_ns or 0) * 1e-9

    @property
    def delay_s(self) -> float | None:
        """Seconds by which the last stamp lay behind the node's clock; None where unknown."""
        return None if self._last_stamp_ns is None else self._delay_ns * 1e-9

    @property
    def num_publishers(self) -> int:
        """Publishers of the topic that are known now."""
        return self._node.count_publishers(self.topic)

    def report_fault(self, message: str) -> None:
        """Note something that could not be used; any thread."""
        with self._lock:
            self.faults += 1
            # What reads messages knows streams; people know topics.
            self.last_fault = message.replace(f'{self.spec.stream}:', f'{self.topic}:', 1)

    def destroy(self) -> None:
        """Unsubscribe."""
        self._node.destroy_subscription(self.subscription)

    def _receive(self, message: Any) -> None:
        self.received += 1
        self._last_s = time.monotonic()
        if hasattr(message, 'header'):
            self._last_stamp_ns = stamp_ns(message.header)
            self._delay_ns = self._node.get_clock().now().nanoseconds - self._last_stamp_ns
        self._submit(self.spec.stream, message)

    def _lose(self, event: Any) -> None:
        self.lost = event.total_count

    def _mismatch(self, event: Any) -> None:
        self.incompatible_qos = event.total_count
        self.report_fault(
            f'{self.topic}: expected a publisher with compatible QoS, got one that offers less; '
            'override the QoS of the node or of the publisher'
        )


def _qos(spec: InputSpec) -> QoSProfile:
    """Best effort, which matches every publisher; transforms as tf2 subscribes to them."""
    if spec.type != _TRANSFORMS:
        return QoSProfile(depth=spec.depth, reliability=ReliabilityPolicy.BEST_EFFORT)
    is_latched = spec.stream == 'tf_static'
    return QoSProfile(
        depth=spec.depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if is_latched else DurabilityPolicy.VOLATILE,
    )
