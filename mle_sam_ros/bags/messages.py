"""Messages from arrays, ready for a `BagWriter` and for the decoders of `core`."""

from collections.abc import Mapping, Sequence
import math
from typing import Any

from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import Events
import numpy as np

_CHANNELS = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono8': 1}
# sensor_msgs/PointField datatype constants.
_DATATYPES = {'i1': 1, 'u1': 2, 'i2': 3, 'u2': 4, 'i4': 5, 'u4': 6, 'f4': 7, 'f8': 8}
_CLOUD_EVENT = np.dtype(
    {
        'names': ['x', 'y', 't', 'p'],
        'formats': ['<u2', '<u2', '<u4', 'u1'],
        'offsets': [0, 2, 4, 8],
        'itemsize': 12,
    }
)


def new_message(type_name: str, /, **fields: Any) -> Any:
    """A message of a type that the typestore knows; every field must be given."""
    return typestore().types[type_name](**fields)


def time_message(time_ns: int) -> Any:
    """`builtin_interfaces/Time`."""
    sec, nanosec = divmod(int(time_ns), 1_000_000_000)
    return new_message('builtin_interfaces/msg/Time', sec=sec, nanosec=nanosec)


def header(stamp_ns: int, frame_id: str) -> Any:
    """`std_msgs/Header`."""
    return new_message('std_msgs/msg/Header', stamp=time_message(stamp_ns), frame_id=frame_id)


def image(pixels: np.ndarray, encoding: str, stamp_ns: int, frame_id: str) -> Any:
    """`sensor_msgs/Image`.

    Args:
        pixels: (H, W, C) or, for one channel, (H, W) uint8.
        encoding: rgb8, bgr8, rgba8, bgra8 or mono8; it must fit the channels.
        stamp_ns: of the header.
        frame_id: of the header.
    """
    height, width = pixels.shape[:2]
    channels = pixels.size // (height * width)
    if pixels.dtype != np.uint8 or _CHANNELS.get(encoding) != channels:
        raise InputError(
            f'image: expected uint8 pixels in one of {", ".join(_CHANNELS)}, got '
            f'{pixels.shape} {pixels.dtype} as {encoding!r}; convert them first'
        )
    return new_message(
        'sensor_msgs/msg/Image',
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels,
        data=np.ascontiguousarray(pixels).reshape(-1),
    )


def compressed_image(data: bytes, image_format: str, stamp_ns: int, frame_id: str) -> Any:
    """`sensor_msgs/CompressedImage` of an encoded picture (`jpeg` or `png`)."""
    return new_message(
        'sensor_msgs/msg/CompressedImage',
        header=header(stamp_ns, frame_id),
        format=image_format,
        data=np.frombuffer(data, np.uint8),
    )


def camera_info(camera: CameraModel, stamp_ns: int, frame_id: str) -> Any:
    """`sensor_msgs/CameraInfo` of a camera model."""
    fields = {
        key: np.array(value, np.float64) if isinstance(value, list) else value
        for key, value in camera.camera_info_fields().items()
    }
    return new_message(
        'sensor_msgs/msg/CameraInfo',
        header=header(stamp_ns, frame_id),
        **fields,
        binning_x=0,
        binning_y=0,
        roi=new_message(
            'sensor_msgs/msg/RegionOfInterest',
            x_offset=0,
            y_offset=0,
            height=0,
            width=0,
            do_rectify=False,
        ),
    )


def point_cloud(points: np.ndarray, stamp_ns: int, frame_id: str) -> Any:
    """`sensor_msgs/PointCloud2` with the columns of a (N,) structured array.

    A sweep has x, y, z and intensity (float32) and, where known, t (uint32, nanoseconds after the
    stamp).
    """
    layout = points.dtype
    fields = [
        new_message(
            'sensor_msgs/msg/PointField',
            name=name,
            offset=offset,
            datatype=_DATATYPES[kind.str[1:]],
            count=1,
        )
        for name, (kind, offset, *_) in (layout.fields or {}).items()
    ]
    return new_message(
        'sensor_msgs/msg/PointCloud2',
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(points),
        fields=fields,
        is_bigendian=False,
        point_step=layout.itemsize,
        row_step=layout.itemsize * len(points),
        data=np.ascontiguousarray(points).view(np.uint8).reshape(-1),
        is_dense=False,
    )


def event_packet(
    events: Events, size_hw: tuple[int, int], stamp_ns: int, frame_id: str, seq: int
) -> Any:
    """`event_camera_msgs/EventPacket` of encoding `libcaer`, whose times are whole microseconds.

    Args:
        events: t_ns is cut to microseconds; they must span less than 35 minutes.
        size_hw: (height, width) of the event camera.
        stamp_ns: arrival time of the packet, as the drivers have it; not a time of the events.
        frame_id: of the header.
        seq: count of the packet.
    """
    t_us = events.t_ns // 1000
    first_us = int(t_us[0]) if len(t_us) else 0
    words = (t_us - first_us).astype(np.uint64) << np.uint64(32)
    words |= events.x.astype(np.uint64) << np.uint64(17)
    words |= events.y.astype(np.uint64) << np.uint64(2)
    words |= (events.polarity.astype(np.uint64) & np.uint64(1)) << np.uint64(1)
    words |= np.uint64(1)  # valid
    return new_message(
        'event_camera_msgs/msg/EventPacket',
        header=header(stamp_ns, frame_id),
        height=size_hw[0],
        width=size_hw[1],
        seq=seq,
        time_base=first_us * 1000,
        encoding='libcaer',
        is_bigendian=False,
        events=words.astype('<u8').view(np.uint8),
    )


def event_cloud(events: Events, stamp_ns: int, frame_id: str) -> Any:
    """Events as `sensor_msgs/PointCloud2`: x, y uint16, t uint32 ns after the stamp, p uint8.

    Args:
        events: at most 4.29 seconds after the stamp, none before it.
        stamp_ns: in sensor time.
        frame_id: of the header.

    Raises:
        InputError: for events that the stamp does not allow.
    """
    offsets = events.t_ns - stamp_ns
    if len(offsets) and not 0 <= offsets[0] <= offsets[-1] < 2**32:
        raise InputError(
            f'event cloud: expected events within 4.29 s after the stamp {stamp_ns}, got '
            f'{events.t_ns[0]} to {events.t_ns[-1]}; stamp it with the start of its window'
        )
    points = np.zeros(len(events), _CLOUD_EVENT)
    points['x'], points['y'], points['p'] = events.x, events.y, events.polarity
    points['t'] = offsets
    return point_cloud(points, stamp_ns, frame_id)


def transform(parent: str, child: str, parent_from_child: np.ndarray, stamp_ns: int) -> Any:
    """`geometry_msgs/TransformStamped` of a rigid (4, 4) float64 matrix."""
    x, y, z = (float(value) for value in parent_from_child[:3, 3])
    return new_message(
        'geometry_msgs/msg/TransformStamped',
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=new_message(
            'geometry_msgs/msg/Transform',
            translation=new_message('geometry_msgs/msg/Vector3', x=x, y=y, z=z),
            rotation=quaternion(parent_from_child[:3, :3]),
        ),
    )


def transforms(items: Sequence[Any]) -> Any:
    """`tf2_msgs/TFMessage` of `geometry_msgs/TransformStamped` messages."""
    return new_message('tf2_msgs/msg/TFMessage', transforms=list(items))


def quaternion(rotation: np.ndarray) -> Any:
    """`geometry_msgs/Quaternion` (w >= 0) of a (3, 3) rotation matrix.

    It is the eigenvector for eigenvalue 1 of a symmetric matrix made from the rotation
    (Bar-Itzhack 2000): no case distinctions, and exact to rounding for every angle.
    """
    (a, b, c), (d, e, f), (g, h, i) = np.asarray(rotation, np.float64)
    symmetric = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(symmetric / 3)[1][:, -1].tolist()
    sign = -1.0 if w < 0 else 1.0
    return new_message(
        'geometry_msgs/msg/Quaternion', x=sign * x, y=sign * y, z=sign * z, w=sign * w
    )


def odometry(
    odom_from_base: np.ndarray,
    linear: np.ndarray,
    angular: np.ndarray,
    stamp_ns: int,
    frames: tuple[str, str] = ('odom', 'base_link'),
) -> Any:
    """`nav_msgs/Odometry` with zero covariances.

    Args:
        odom_from_base: (4, 4) float64 pose.
        linear: (3,) metres per second, in the child frame.
        angular: (3,) radians per second, in the child frame.
        stamp_ns: of the header.
        frames: parent and child.
    """
    x, y, z = odom_from_base[:3, 3].tolist()
    vectors = [
        new_message('geometry_msgs/msg/Vector3', x=vx, y=vy, z=vz)
        for vx, vy, vz in (np.asarray(v, np.float64).tolist() for v in (linear, angular))
    ]
    pose = new_message(
        'geometry_msgs/msg/Pose',
        position=new_message('geometry_msgs/msg/Point', x=x, y=y, z=z),
        orientation=quaternion(odom_from_base[:3, :3]),
    )
    twist = new_message('geometry_msgs/msg/Twist', linear=vectors[0], angular=vectors[1])
    unknown = np.zeros(36)
    return new_message(
        'nav_msgs/msg/Odometry',
        header=header(stamp_ns, frames[0]),
        child_frame_id=frames[1],
        pose=new_message('geometry_msgs/msg/PoseWithCovariance', pose=pose, covariance=unknown),
        twist=new_message(
            'geometry_msgs/msg/TwistWithCovariance', twist=twist, covariance=unknown
        ),
    )


def multi_array(values: np.ndarray, labels: Sequence[str]) -> Any:
    """`std_msgs/Float32MultiArray` of an array, row by row; `labels` name its dimensions."""
    sizes = values.shape
    dimensions = [
        new_message(
            'std_msgs/msg/MultiArrayDimension',
            label=label,
            size=sizes[axis],
            stride=math.prod(sizes[axis:]),
        )
        for axis, label in enumerate(labels)
    ]
    return new_message(
        'std_msgs/msg/Float32MultiArray',
        layout=new_message('std_msgs/msg/MultiArrayLayout', dim=dimensions, data_offset=0),
        data=np.asarray(values, np.float32).reshape(-1),
    )


def diagnostics(statuses: Mapping[str, Mapping[str, str]], stamp_ns: int, frame_id: str) -> Any:
    """`diagnostic_msgs/DiagnosticArray` of level OK: status name to its keys and values."""
    return new_message(
        'diagnostic_msgs/msg/DiagnosticArray',
        header=header(stamp_ns, frame_id),
        status=[
            new_message(
                'diagnostic_msgs/msg/DiagnosticStatus',
                level=0,
                name=name,
                message='',
                hardware_id='',
                values=[
                    new_message('diagnostic_msgs/msg/KeyValue', key=key, value=value)
                    for key, value in values.items()
                ],
            )
            for name, values in statuses.items()
        ],
    )
