"""A drive of the size that replay is measured with, made in seconds: noise and simple shapes.

Camera at 20 Hz with a label map for each frame, LiDAR of 64 beams (65,536 points with times) at
10 Hz, and two million events per second of a 1280 x 720 sensor as EVT3 in packets of 4 ms, which
is how Prophesee's SDK hands them out. It compresses about as drives do.
"""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal

import cv2
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.simulation.rig import LidarModel
import numpy as np

EVENT_HW = (720, 1280)
NUM_EVENTS_PER_S = 2_000_000
_MS = 1_000_000
_START_NS = 1_700_000_000_000 * _MS
_CAMERA_NS, _LIDAR_NS, _EVENT_NS = 50 * _MS, 100 * _MS, 4 * _MS
# EVT3 repeats its time every 16 us; of its events some stand alone, some come in a row.
_STEPS_PER_PACKET = _EVENT_NS // 16_000
_NUM_LONE, _NUM_BURSTS = 20, 2  # in a step; a burst holds six events
_NUM_PICTURES, _NUM_SWEEPS, _NUM_PACKETS = 20, 5, 50  # different ones, shown in turn
_FRAMES = ('camera_optical_frame', 'event_camera_optical_frame', 'lidar')
_CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0], [0, 0, -1, -0.3], [1, 0, 0, 0], [0, 0, 0, 1]])


def write_drive(
    path: Path,
    seconds: float,
    image_hw: tuple[int, int],
    compression: Literal['zstd', 'none'] = 'zstd',
) -> None:
    """Write a drive.

    Args:
        path: of the `.mcap` file.
        seconds: how long it is.
        image_hw: (height, width) of the camera.
        compression: `none` as `ros2 bag record` has it by default.
    """
    random = np.random.default_rng(0)
    streams = [
        ('/tf_static', _once(_transforms())),
        ('/camera/camera_info', _once(_camera_info(image_hw, 0.5, _FRAMES[0]))),
        ('/event_camera/camera_info', _once(_camera_info(EVENT_HW, 0.7, _FRAMES[1]))),
        ('/ground_truth/labels', _repeated(_label_maps(image_hw), _CAMERA_NS, 1)),
        ('/camera/image', _repeated(_images(image_hw, random), _CAMERA_NS, 5 * _MS)),
        ('/lidar/points', _repeated(_sweeps(random), _LIDAR_NS, _LIDAR_NS + 2 * _MS)),
        ('/event_camera/events', _packets(random)),
    ]
    end_ns = _START_NS + round(seconds * 1e9)
    messages_of: dict[str, Any] = dict(streams)
    waiting = {topic: next(items) for topic, items in messages_of.items()}
    with BagWriter(path, compression=compression) as bag:
        while waiting:
            topic = min(waiting, key=lambda name: waiting[name][0])
            log_time_ns, kind, cdr = waiting.pop(topic)
            if log_time_ns >= end_ns:
                continue
            bag.write_raw(topic, kind, cdr, log_time_ns)
            following = next(messages_of[topic], None)
            if following is not None:
                waiting[topic] = following


_Item = tuple[int, str, bytes]  # log time, type, serialised message


def _once(message: Any) -> Iterator[_Item]:
    yield _START_NS, message.__msgtype__, _serialised(message)


def _repeated(made: list[Any], period_ns: int, delay_ns: int) -> Iterator[_Item]:
    """The messages in turn, stamped a period apart, logged that much later."""
    for index in count():
        message = made[index % len(made)]
        stamp_ns = _START_NS + index * period_ns
        message.header.stamp = messages.time_message(stamp_ns)
        yield stamp_ns + delay_ns, message.__msgtype__, _serialised(message)


def _serialised(message: Any) -> bytes:
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def _camera(size_hw: tuple[int, int], focal_share: float) -> CameraModel:
    height, width = size_hw
    focal_px = focal_share * width
    matrix = np.array([[focal_px, 0, width / 2], [0, focal_px, height / 2], [0, 0, 1]])
    return CameraModel(size_hw, matrix, np.array([-0.05, 0.012, 0.0004, -0.0003, 0.0]))


def _camera_info(size_hw: tuple[int, int], focal_share: float, frame_id: str) -> Any:
    return messages.camera_info(_camera(size_hw, focal_share), _START_NS, frame_id)


def _transforms() -> Any:
    poses = (np.eye(4), _CAMERA_FROM_LIDAR)
    items = [
        messages.transform(_FRAMES[0], frame, pose, _START_NS)
        for frame, pose in zip(_FRAMES[1:], poses, strict=True)
    ]
    return messages.transforms(items)


def label_map(size_hw: tuple[int, int], moment: float) -> np.ndarray:
    """(H, W) uint8: a street with houses, trees and cars that move as the moment does, 0 to 1."""
    height, width = size_hw
    labels = np.full(size_hw, 10, np.uint8)  # sky
    random = np.random.default_rng(1)

    def box(class_id: int, left: float, top: float, right: float, bottom: float) -> None:
        corners = np.array([[left, top], [right, bottom]]) * (width, height)
        (x0, y0), (x1, y1) = corners.round().astype(int)
        cv2.rectangle(labels, (int(x0), int(y0)), (int(x1), int(y1)), class_id, cv2.FILLED)

    for index in range(14):  # houses and trees
        left = index / 7 - 0.5 + 0.2 * moment
        box(4 + index % 2, left, random.uniform(0.1, 0.35), left + 0.13, 0.6)
    box(2, 0, 0.55, 1, 1)
    road = np.array([[0.45, 0.55], [0.55, 0.55], [1.1, 1], [-0.1, 1]]) * (width, height)
    cv2.fillPoly(labels, [road.round().astype(np.int32)], 0)
    for index in range(10):  # cars, people, poles, signs
        left, size = (random.uniform(0, 1) + 0.3 * moment) % 1, random.uniform(0.02, 0.12)
        thin = 0.15 if index % 4 else 1
        box((8, 9, 6, 7)[index % 4], left, 0.62 - size, left + thin * size, 0.62 + size)
    return labels


def _moments() -> Iterator[float]:
    return (abs(2 * index / _NUM_PICTURES - 1) for index in range(_NUM_PICTURES))


def _label_maps(size_hw: tuple[int, int]) -> list[Any]:
    return [
        messages.image(label_map(size_hw, moment), 'mono8', 0, _FRAMES[0]) for moment in _moments()
    ]


def _images(size_hw: tuple[int, int], random: np.random.Generator) -> list[Any]:
    """What the label maps look like, with texture and the noise of a sensor."""
    colours = random.integers(40, 200, (256, 3)).astype(np.float32)
    texture = cv2.GaussianBlur(random.normal(0, 60, (*size_hw, 3)).astype(np.float32), (0, 0), 2)
    made = []
    for moment in _moments():
        noise = random.normal(0, 2.5, (*size_hw, 3)).astype(np.float32)
        pixels = colours[label_map(size_hw, moment)] + texture + noise
        made.append(messages.image(pixels.clip(0, 255).astype(np.uint8), 'rgb8', 0, _FRAMES[0]))
    return made


def _sweeps(random: np.random.Generator) -> list[Any]:
    """A plane and things on it, 16 metres of noise-free air around."""
    lidar = LidarModel()
    directions = lidar.directions()
    times_ns = np.repeat(lidar.column_offsets_ns(), lidar.num_beams)
    made = []
    for _ in range(_NUM_SWEEPS):
        walls = np.repeat(random.uniform(8, 60, lidar.num_columns // 8), 8)[:, None]
        down = np.maximum(-directions[:, :, 2], 1e-3)
        range_m = np.minimum(1.8 / down, walls) + random.normal(0, 0.02, directions.shape[:2])
        points = np.zeros(
            lidar.num_beams * lidar.num_columns,
            [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4'), ('t', '<u4')],
        )
        for axis, name in enumerate(('x', 'y', 'z')):
            points[name] = (directions[:, :, axis] * range_m).reshape(-1)
        points['intensity'] = random.integers(0, 256, len(points))
        points['t'] = times_ns
        made.append(messages.point_cloud(points, 0, _FRAMES[2]))
    return made


def _packets(random: np.random.Generator) -> Iterator[_Item]:
    steps = [_evt3_steps(random) for _ in range(_NUM_PACKETS)]
    num_words = steps[0].size
    for index in count():
        words = steps[index % len(steps)]
        times_us = (index * _EVENT_NS + np.arange(_STEPS_PER_PACKET) * 16_000) // 1000
        words[:, 0] = 0x8000 | times_us >> 12 & 0xFFF
        words[:, 1] = 0x6000 | times_us & 0xFFF
        # By then the host has it.
        arrival_ns = _START_NS + (index + 1) * _EVENT_NS + 1 * _MS
        message = messages.new_message(
            'event_camera_msgs/msg/EventPacket',
            header=messages.header(arrival_ns, _FRAMES[1]),
            height=EVENT_HW[0],
            width=EVENT_HW[1],
            seq=index,
            time_base=0,
            encoding='evt3',
            is_bigendian=False,
            events=words.reshape(num_words).view(np.uint8),
        )
        yield arrival_ns, message.__msgtype__, _serialised(message)


def _evt3_steps(random: np.random.Generator) -> np.ndarray:
    """(steps, words) uint16: two words of time, then events of those 16 us."""
    height, width = EVENT_HW

    def integers(low: int, high: int, number: int) -> np.ndarray:
        return random.integers(low, high, (_STEPS_PER_PACKET, number)).astype(np.uint16)

    lone = np.empty((_STEPS_PER_PACKET, _NUM_LONE, 2), np.uint16)
    lone[:, :, 0] = integers(0, height, _NUM_LONE)
    lone[:, :, 1] = 0x2000 | integers(0, width, _NUM_LONE) | integers(0, 2, _NUM_LONE) << 11
    bursts = np.empty((_STEPS_PER_PACKET, _NUM_BURSTS, 3), np.uint16)
    bursts[:, :, 0] = integers(0, height, _NUM_BURSTS)
    polarity = integers(0, 2, _NUM_BURSTS) << 11
    bursts[:, :, 1] = 0x3000 | integers(0, width - 12, _NUM_BURSTS) | polarity
    bursts[:, :, 2] = 0x4000 | 0b110010011010
    return np.concatenate(
        [
            np.zeros((_STEPS_PER_PACKET, 2), np.uint16),
            lone.reshape(_STEPS_PER_PACKET, -1),
            bursts.reshape(_STEPS_PER_PACKET, -1),
        ],
        axis=1,
    )
