"""Predictions to messages, each with the camera image's own stamp and frame."""

from array import array
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.labelled_cloud import (
    label_cloud,
    LabelledCloud,
    organise,
    points_in_camera,
)
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.outputs import overlay, resize_confidence, resize_label_map
from mle_sam_ros.core.painted_points import painted_points
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.trust import trust_statuses
from mle_sam_ros.ros.message_types import message_class
import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

# Reliable, so that subscribers of either kind match; RViz asks for reliable by default.
_QOS = QoSProfile(depth=5)
# For what never changes: whoever comes late gets it, too.
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_DATATYPES = {'<f4': PointField.FLOAT32, '|u1': PointField.UINT8}
_POSITION = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4')])


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
        self._palette = manifest.palette
        self._grid_hw = manifest.input_hw
        self.opacity = overlay_opacity
        self._publishers: list[Any] = []
        self._mask = self._publisher(Image, 'mask')
        self._confidence = self._publisher(Image, 'confidence')
        self._overlay = self._publisher(Image, 'overlay')
        self._router_weights = self._publisher(DiagnosticArray, 'router_weights')
        self._camera_info = self._publisher(CameraInfo, 'camera_info')
        self._points = self._publisher(PointCloud2, 'points')
        self._organised_points = self._publisher(PointCloud2, 'organised/points')
        self._organised_mask = self._publisher(Image, 'organised/mask')
        self._organised_confidence = self._publisher(Image, 'organised/confidence')
        self._publish_label_info(manifest)

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
        if camera is not None and prediction.sweeps:
            self._publish_points(prediction, camera, header)

    def destroy(self) -> None:
        """Take the topics down."""
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)

    def _draw(self, prediction: Prediction) -> np.ndarray:
        image = prediction.image
        if image is None:  # no camera: the colours stand on black
            image = np.zeros((*prediction.label_map.shape, 3), np.uint8)
        return overlay(image, prediction.label_map, self._palette, self.opacity)

    def _publish_points(self, prediction: Prediction, camera: CameraModel, header: Header) -> None:
        wants_sweep = self._points.get_subscription_count()
        wants_grid = self._organised_points.get_subscription_count()
        if not (wants_sweep or wants_grid):
            return
        points = points_in_camera(prediction.sweeps)
        label_map, confidence = prediction.label_map, prediction.confidence
        cloud = label_cloud(points.xyz, camera, label_map, confidence, self._grid_hw)
        if wants_sweep:
            self._points.publish(points_message(cloud, points.intensity, self._palette, header))
        if wants_grid:
            self._organised_points.publish(organised_message(organise(cloud), header))
            small_map = resize_label_map(label_map, self._grid_hw)
            self._organised_mask.publish(image_message(small_map, 'mono8', header))
            small = resize_confidence(confidence, self._grid_hw)
            self._organised_confidence.publish(image_message(small, 'mono8', header))

    def _publish_label_info(self, manifest: Manifest) -> None:
        """Once, where vision_msgs is installed; nothing else depends on it."""
        try:
            kind, item = (
                message_class(f'vision_msgs/msg/{n}') for n in ('LabelInfo', 'VisionClass')
            )
        except InputError:
            return
        classes = [
            item(class_id=i, class_name=name) for i, name in enumerate(manifest.class_names)
        ]
        header = Header(stamp=self._node.get_clock().now().to_msg())
        self._label_info = self._publisher(kind, 'label_info', _LATCHED)
        self._label_info.publish(kind(header=header, class_map=classes, threshold=0.0))

    def _publisher(self, kind: type[Any], name: str, qos: QoSProfile = _QOS) -> Any:
        publisher = self._node.create_publisher(
            kind,
            f'~/{name}',
            copy(qos),  # rclpy writes overrides into it
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
    message = Image(
        header=header,
        height=height,
        width=width,
        encoding=encoding,
        step=pixels.nbytes // height,
    )
    message.data = _bytes(pixels)  # the constructor would copy it
    return message


def points_message(
    cloud: LabelledCloud, intensity: np.ndarray, palette: Sequence[Sequence[int]], header: Header
) -> PointCloud2:
    """A labelled cloud in the camera's frame, in the order of the sweep.

    Fields: x, y, z, rgb, intensity (float32), label, confidence (uint8). Label 255 and grey where
    the camera does not see the point.
    """
    points = painted_points(cloud, intensity, palette)
    return _cloud_message(points[None], bool(np.isfinite(cloud.points_camera).all()), header)


def organised_message(points: np.ndarray, header: Header) -> PointCloud2:
    """(H, W, 3) float32 positions, NaN where unknown, as an organised cloud."""
    return _cloud_message(np.ascontiguousarray(points).view(_POSITION)[..., 0], False, header)


def _cloud_message(points: np.ndarray, is_dense: bool, header: Header) -> PointCloud2:
    """An (H, W) structured array as `sensor_msgs/PointCloud2`."""
    height, width = points.shape
    fields = points.dtype.fields or {}
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[
            PointField(name=name, offset=offset, datatype=_DATATYPES[kind.str], count=1)
            for name, (kind, offset) in fields.items()
        ],
        point_step=points.itemsize,
        row_step=width * points.itemsize,
        is_dense=is_dense,
    )
    message.data = _bytes(points)
    return message


def _bytes(values: np.ndarray) -> array:
    # rclpy takes an array.array as it is; bytes it would check one by one.
    data = array('B')
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return data


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
