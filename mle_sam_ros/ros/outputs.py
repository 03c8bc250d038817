"""Predictions to messages, each with the camera image's own stamp and frame."""

from array import array
from collections.abc import Mapping
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import overlay
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.trust import trust_statuses
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

# Reliable, so that subscribers of either kind match; RViz asks for reliable by default.
_QOS = QoSProfile(depth=5)


class Outputs:
    """The node's publishers. What nobody subscribes to is not even made.

    Attributes:
        opacity: of the class colours over the image, 0 to 1; may change at any time.
    """

    def __init__(self, node: Node, manifest: Manifest, overlay_opacity: float) -> None:
        """Create the publishers.

        Args:
            node: their owner.
            manifest: of the bundle that runs.
            overlay_opacity: of the class colours, 0 to 1.
        """
        self._node = node
        self._modalities = manifest.modality_names
        self._model = manifest.model
        self._palette = [item.colour for item in manifest.classes]
        self.opacity = overlay_opacity
        self._publishers: list[Any] = []
        self._mask = self._publisher(Image, 'mask')
        self._confidence = self._publisher(Image, 'confidence')
        self._overlay = self._publisher(Image, 'overlay')
        self._router_weights = self._publisher(DiagnosticArray, 'router_weights')
        self._camera_info = self._publisher(CameraInfo, 'camera_info')

    def publish(self, prediction: Prediction, camera: CameraModel | None) -> None:
        """Send out one prediction; `camera` is at the size of its label map, where known."""
        header = header_of(prediction)
        self._mask.publish(image_message(prediction.label_map, 'mono8', header))
        if self._confidence.get_subscription_count():
            self._confidence.publish(image_message(prediction.confidence, 'mono8', header))
        if camera is not None and self._camera_info.get_subscription_count():
            self._camera_info.publish(camera_info_message(camera, header))
        if self._router_weights.get_subscription_count():
            statuses = trust_statuses(prediction, self._modalities)
            self._router_weights.publish(trust_message(statuses, header, self._model))
        if self._overlay.get_subscription_count():
            self._overlay.publish(image_message(self._draw(prediction), 'rgb8', header))

    def destroy(self) -> None:
        """Take the topics down."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def _draw(self, prediction: Prediction) -> np.ndarray:
        image = prediction.image
        if image is None:  # no camera: the colours stand on black
            image = np.zeros((*prediction.label_map.shape, 3), np.uint8)
        return overlay(image, prediction.label_map, self._palette, self.opacity)

    def _publisher(self, kind: type[Any], name: str) -> Any:
        publisher = self._node.create_publisher(
            kind,
            f'~/{name}',
            _QOS,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._publishers.append(publisher)
        return publisher


def header_of(prediction: Prediction) -> Header:
    """The header that all outputs of one prediction share."""
    seconds, nanoseconds = divmod(prediction.stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=prediction.frame_id)


def image_message(pixels: np.ndarray, encoding: str, header: Header) -> Image:
    """An (H, W) or (H, W, C) uint8 array as `sensor_msgs/Image`, rows without padding."""
    height, width = pixels.shape[:2]
    # rclpy takes an array.array as it is; bytes it would check one by one.
    data = array('B')
    data.frombytes(np.ascontiguousarray(pixels).data.cast('B'))
    return Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=pixels.nbytes // height,
        data=data,
    )


def camera_info_message(camera: CameraModel, header: Header) -> CameraInfo:
    """A camera model as `sensor_msgs/CameraInfo`; the mask lies on the image as it came."""
    return CameraInfo(header=header, **camera.camera_info_fields())


def trust_message(
    statuses: Mapping[str, Mapping[str, str]], header: Header, model: str
) -> DiagnosticArray:
    """`core.trust` statuses as `diagnostic_msgs/DiagnosticArray`."""
    return DiagnosticArray(
        header=header,
        status=[
            DiagnosticStatus(
                level=DiagnosticStatus.OK,
                name=name,
                hardware_id=model,
                values=[KeyValue(key=key, value=value) for key, value in values.items()],
            )
            for name, values in statuses.items()
        ],
    )
