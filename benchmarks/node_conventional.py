"""The conventional recipe for the same task, as tutorials and research nodes have it.

    python benchmarks/node_conventional.py BUNDLE

One subscription per sensor; an approximate-time synchroniser pairs each image with one sweep, uses
every message once and calls back under its lock, in the executor; events are gathered in a list
and counted with `np.add.at`; points are read as a structured array and projected with numpy. The
inference is left out here, too. Sizes and results are those of the perception node.
"""

from array import array
from collections import deque
import sys
import threading
from typing import Any

import cv2
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.runtime.bundle import Bundle
from node_rig import CALIBRATION, CAMERA_FROM_LIDAR, EVENT_HW, TOPICS
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, PointCloud2

_POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4')])
_EVENT = np.dtype([('x', '<u2'), ('y', '<u2'), ('t', '<u4'), ('p', 'u1')], align=True)
_SLOP_NS = 150_000_000
_QUEUE = 10


class ConventionalNode(Node):
    """Everything in callbacks."""

    def __init__(self, input_hw: tuple[int, int], window_ns: int) -> None:
        super().__init__('conventional')
        self._input_hw, self._window_ns = input_hw, window_ns
        self._camera = CALIBRATION.cameras['camera'].scaled_to(input_hw)
        self._lock = threading.Lock()
        self._images: dict[int, Image] = {}
        self._sweeps: dict[int, PointCloud2] = {}
        self._events: deque[tuple[int, np.ndarray]] = deque(maxlen=50)
        self._mask = self.create_publisher(Image, '/mle_sam/perception/mask', 5)
        for stream, kind, hear in (
            ('camera', Image, self._hear_image),
            ('lidar', PointCloud2, self._hear_sweep),
            ('event', PointCloud2, self._hear_events),
        ):
            topic = f'/mle_sam/{TOPICS[stream][0]}'
            self.create_subscription(kind, topic, hear, qos_profile_sensor_data)

    def _hear_image(self, message: Image) -> None:
        self._add(self._images, message)

    def _hear_sweep(self, message: PointCloud2) -> None:
        self._add(self._sweeps, message)

    def _hear_events(self, message: PointCloud2) -> None:
        self._events.append((_stamp_ns(message), np.frombuffer(message.data, _EVENT)))

    def _add(self, queue: dict[int, Any], message: Any) -> None:
        with self._lock:
            queue[_stamp_ns(message)] = message
            while len(queue) > _QUEUE:
                del queue[min(queue)]
            pairs = [
                (abs(image_ns - sweep_ns), image_ns, sweep_ns)
                for image_ns in self._images
                for sweep_ns in self._sweeps
                if abs(image_ns - sweep_ns) <= _SLOP_NS
            ]
            if pairs:
                _, image_ns, sweep_ns = min(pairs)
                image, sweep = self._images.pop(image_ns), self._sweeps.pop(sweep_ns)
                self._images = {ns: m for ns, m in self._images.items() if ns > image_ns}
                self._segment(image, sweep)

    def _segment(self, image: Image, sweep: PointCloud2) -> None:
        pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        cv2.resize(pixels, self._input_hw[::-1], interpolation=cv2.INTER_AREA)
        self._project(np.frombuffer(sweep.data, _POINT))
        self._count(_stamp_ns(image))
        mask = np.zeros(self._input_hw, np.uint8)
        self._publish(
            cv2.resize(mask, (image.width, image.height), interpolation=cv2.INTER_NEAREST), image
        )

    def _project(self, points: np.ndarray) -> np.ndarray:
        xyz = np.stack([points['x'], points['y'], points['z']], axis=1).astype(np.float64)
        distance = np.linalg.norm(xyz, axis=1)
        keep = np.isfinite(xyz).all(axis=1) & (distance > 1)
        xyz, distance, intensity = xyz[keep], distance[keep], points['intensity'][keep]
        in_camera = xyz @ CAMERA_FROM_LIDAR[:3, :3].T + CAMERA_FROM_LIDAR[:3, 3]
        ahead = in_camera[:, 2] > 0.1
        in_camera, xyz = in_camera[ahead], xyz[ahead]
        distance, intensity = distance[ahead], intensity[ahead]
        uv, _ = cv2.projectPoints(
            in_camera, np.zeros(3), np.zeros(3), self._camera.matrix, self._camera.distortion[:5]
        )
        u, v = np.round(uv[:, 0]).astype(np.int64).T
        height, width = self._input_hw
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        order = np.argsort(-in_camera[inside, 2])  # the nearest is written last
        raster = np.zeros((height, width, 3), np.float32)
        values = np.stack([distance, intensity, xyz[:, 2]], axis=1)[inside][order]
        raster[v[inside][order], u[inside][order]] = values
        return cv2.dilate(raster, np.ones((3, 3), np.uint8))

    def _count(self, until_ns: int) -> np.ndarray:
        counts = np.zeros((2, *EVENT_HW), np.float32)
        for stamp_ns, events in list(self._events):
            t_ns = stamp_ns + events['t'].astype(np.int64)
            inside = (t_ns > until_ns - self._window_ns) & (t_ns <= until_ns)
            x, y, p = events['x'][inside], events['y'][inside], events['p'][inside]
            np.add.at(counts, (1 - p, y, x), 1)
        both = counts.transpose(1, 2, 0)
        return cv2.resize(both, self._input_hw[::-1], interpolation=cv2.INTER_AREA)

    def _publish(self, mask: np.ndarray, image: Image) -> None:
        data = array('B')
        data.frombytes(mask.data.cast('B'))
        height, width = mask.shape
        self._mask.publish(
            Image(
                header=image.header,
                height=height,
                width=width,
                encoding='mono8',
                step=width,
                data=data,
            )
        )


def _stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


if __name__ == '__main__':
    manifest = Bundle.open(sys.argv[1]).manifest
    window_ns = next(
        m.encoding.window_ns for m in manifest.modalities if isinstance(m.encoding, EventEncoding)
    )
    rclpy.init()
    try:
        rclpy.spin(ConventionalNode(manifest.input_hw, window_ns))
    except KeyboardInterrupt:
        pass
