"""LiDAR kernels beside their peers; run by `kernels.py`.

Peers: sensor_msgs_py, kiss-icp and open3d where they are installed, OpenCV and numpy. kiss-icp is
asked for one thread; open3d takes as many as OMP_NUM_THREADS says.
"""

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import cv2
from kernel_case import KernelCase
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import decode_cloud, PointCloud
from mle_sam_ros.core.deskew import deskew
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.sweep import Sweep, whole
import numpy as np

FULL_HD = CameraModel(
    (1080, 1920),
    np.array([[1150.0, 0, 959.5], [0, 1150, 539.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0.0]),
)
NETWORK_HW = (320, 640)
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
NUM_BEAMS = 128
SPAN_NS = 100_000_000
Peers = Mapping[str, Callable[[], object] | str]


def street(num_points: int) -> PointCloud:
    """A revolution of 128 beams, beam by beam: a road, walls on both sides, and the sky."""
    columns = np.arange(num_points // NUM_BEAMS)
    aside = np.pi - 2 * np.pi * columns / len(columns)
    up = np.radians(np.linspace(15, -25, NUM_BEAMS))[:, None]
    directions = np.stack(
        np.broadcast_arrays(np.cos(up) * np.cos(aside), np.cos(up) * np.sin(aside), np.sin(up)),
        axis=-1,
    ).reshape(-1, 3)
    with np.errstate(divide='ignore'):
        to_wall = 12 / np.abs(directions[:, 1])
        to_road = np.where(directions[:, 2] < 0, -1.8 / directions[:, 2], np.inf)
    distance = np.minimum(to_wall, to_road)
    is_sky = (distance > 120) | (to_wall * directions[:, 2] > 6)
    xyz = directions * np.where(is_sky, 0, distance)[:, None]
    time_ns = np.tile(columns * SPAN_NS // len(columns), NUM_BEAMS)
    intensity = np.random.default_rng(0).random(num_points, dtype=np.float32) * 255
    return PointCloud(xyz.astype(np.float32), intensity, time_ns)


def message_of(cloud: PointCloud, fields: Mapping[str, tuple[int, str, int]], step: int):
    """A PointCloud2 of float32 x, y, z and other fields: name to offset, dtype and datatype."""
    fields = {axis: (4 * i, '<f4', 7) for i, axis in enumerate('xyz')} | fields
    offsets, formats, datatypes = zip(*fields.values(), strict=True)
    layout = {'names': list(fields), 'formats': formats, 'offsets': offsets, 'itemsize': step}
    points = np.zeros(len(cloud), np.dtype(layout))
    for i, axis in enumerate('xyz'):
        points[axis] = cloud.xyz[:, i]
    points['intensity'] = cloud.intensity
    if 't' in fields:
        points['t'] = cloud.time_ns
    if 'timestamp' in fields:
        points['timestamp'] = cloud.time_ns * 1e-9 + 1_750_000_000
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=1_750_000_000, nanosec=0), frame_id=''),
        fields=[
            SimpleNamespace(name=name, offset=offset, datatype=datatype, count=1)
            for name, offset, datatype in zip(fields, offsets, datatypes, strict=True)
        ],
        height=1, width=len(cloud), point_step=step, row_step=step * len(cloud),
        is_bigendian=False, is_dense=False, data=points.tobytes(),
    )  # fmt: skip


LAYOUTS = {
    '16 bytes': ({'intensity': (12, '<f4', 7)}, 16),
    '26 bytes, timestamp': ({'intensity': (12, '<f4', 7), 'timestamp': (18, '<f8', 8)}, 26),
    '48 bytes, t': ({'intensity': (16, '<f4', 7), 't': (20, '<u4', 6)}, 48),
}


def structured(message) -> np.ndarray:
    """The usual recipe: a structured array, columns stacked, points without a number dropped."""
    layout = {
        'names': [field.name for field in message.fields],
        'formats': [{6: '<u4', 7: '<f4', 8: '<f8'}[field.datatype] for field in message.fields],
        'offsets': [field.offset for field in message.fields],
        'itemsize': message.point_step,
    }
    points = np.frombuffer(message.data, np.dtype(layout))
    stacked = np.stack([points[name] for name in layout['names']], axis=1)
    return stacked[np.isfinite(stacked).all(axis=1)]


def decode_peers(message) -> Peers:
    peers: dict[str, Callable[[], object] | str] = {'numpy': lambda: structured(message)}
    try:
        from sensor_msgs.msg import PointCloud2, PointField
        from sensor_msgs_py.point_cloud2 import read_points_numpy
    except ImportError as error:
        return peers | {'sensor_msgs_py': str(error)}
    plain = {
        name: value for name, value in vars(message).items() if name not in ('header', 'fields')
    }
    of_ros = PointCloud2(fields=[PointField(**vars(field)) for field in message.fields], **plain)
    names = ['x', 'y', 'z', 'intensity']  # of one type: it gives no times beside them
    return peers | {'sensor_msgs_py': lambda: read_points_numpy(of_ros, names, skip_nans=True)}


def knots() -> tuple[np.ndarray, np.ndarray]:
    """One knot each 10 ms of 15 m/s and 0.5 rad/s, seen from the middle."""
    times_ns = np.linspace(0, SPAN_NS, 11).astype(np.int64)
    poses = np.tile(np.eye(4), (11, 1, 1))
    for pose, seconds in zip(poses, (times_ns - SPAN_NS / 2) * 1e-9, strict=True):
        pose[:3, :3] = cv2.Rodrigues(np.array([0, 0, 0.5 * seconds]))[0]
        pose[0, 3] = 15 * seconds
    return times_ns, poses


def numpy_deskew(cloud: PointCloud) -> np.ndarray:
    """The twist of each point's time, to the second order."""
    turn, way = np.float32([0, 0, 0.5]), np.float32([15, 0, 0])
    seconds = ((cloud.time_ns - SPAN_NS / 2) * 1e-9).astype(np.float32)[:, None]
    velocity = way + np.cross(turn, cloud.xyz)
    return cloud.xyz + seconds * velocity + seconds**2 / 2 * np.cross(turn, velocity)


def deskew_peers(cloud: PointCloud) -> Peers:
    peers: dict[str, Callable[[], object] | str] = {'numpy': lambda: numpy_deskew(cloud)}
    try:
        from kiss_icp.preprocess import Preprocessor
    except ImportError as error:
        return peers | {'kiss-icp': str(error)}
    preprocessor = Preprocessor(1e3, 0.0, True, 1)
    points, when = cloud.xyz.astype(np.float64), cloud.time_ns / SPAN_NS
    motion = np.linalg.inv(knots()[1][0]) @ knots()[1][-1]
    return peers | {'kiss-icp': lambda: preprocessor.preprocess(points, when, motion)}


def numpy_lidar_raster(cloud: PointCloud, camera: CameraModel) -> np.ndarray:
    """Masks, projection, then far points first so that near ones overwrite them."""
    distance = np.linalg.norm(cloud.xyz, axis=1)
    points = cloud.xyz @ CAMERA_FROM_LIDAR[:3, :3].T.astype(np.float32)
    ahead = (distance >= 1) & (points[:, 2] > 0.1)
    u, v = np.floor(camera.project(points[ahead]) + 0.5).astype(int).T
    inside = (u >= 0) & (u < camera.size_hw[1]) & (v >= 0) & (v < camera.size_hw[0])
    values = np.stack([distance, cloud.intensity, cloud.xyz[:, 2]], axis=1)[ahead][inside]
    order = np.argsort(-points[ahead][inside, 2])
    raster = np.zeros((*camera.size_hw, 3), np.float32)
    raster[v[inside][order], u[inside][order]] = values[order]
    return raster


def opencv_front_half(cloud: PointCloud, camera: CameraModel) -> np.ndarray:
    """No more than the pixels of the points ahead."""
    points = cloud.xyz @ CAMERA_FROM_LIDAR[:3, :3].T.astype(np.float32)
    ahead = points[points[:, 2] > 0.1]
    return cv2.projectPoints(ahead, np.zeros(3), np.zeros(3), camera.matrix, camera.distortion)[0]


def raster_peers(cloud: PointCloud, camera: CameraModel) -> Peers:
    peers: dict[str, Callable[[], object] | str] = {
        'numpy': lambda: numpy_lidar_raster(cloud, camera),
        'cv2.projectPoints, pixels alone': lambda: opencv_front_half(cloud, camera),
    }
    try:
        import open3d
    except ImportError as error:
        return peers | {'open3d depth image': str(error)}
    height, width = camera.size_hw
    of_open3d = open3d.t.geometry.PointCloud(open3d.core.Tensor(cloud.xyz))
    matrix, extrinsic = open3d.core.Tensor(camera.matrix), open3d.core.Tensor(CAMERA_FROM_LIDAR)

    def depth_image() -> object:
        return of_open3d.project_to_depth_image(width, height, matrix, extrinsic, 1.0, 1e3)

    return peers | {'open3d depth image, no lens, depth alone': depth_image}


def cases() -> Iterator[KernelCase]:
    """What to measure."""
    encoding = LidarEncoding(1.0, 1)
    knots_ns, poses = knots()
    for num_points in (131_072, 262_144):
        cloud = street(num_points)
        for name, (fields, step) in LAYOUTS.items():
            message = message_of(cloud, fields, step)
            yield KernelCase(
                f'LiDAR decode, {num_points} points, {name}',
                num_points,
                lambda m=message: decode_cloud(m, 'lidar'),
                decode_peers(message),
            )
        yield KernelCase(
            f'LiDAR deskew, {num_points} points',
            num_points,
            lambda c=cloud: deskew(c, knots_ns, poses),
            deskew_peers(cloud),
        )
        still = [whole('lidar', cloud, CAMERA_FROM_LIDAR)]
        moving = [Sweep('lidar', cloud, CAMERA_FROM_LIDAR @ poses, knots_ns)]
        for name, camera in (('1080p', FULL_HD), ('640x320', FULL_HD.scaled_to(NETWORK_HW))):
            peers = raster_peers(cloud, camera)
            for sweeps, motion in ((still, ''), (moving, ', deskewed')):
                yield KernelCase(
                    f'LiDAR raster, {num_points} points, {name}{motion}',
                    num_points,
                    lambda s=sweeps, c=camera: lidar_raster(s, c, encoding),
                    peers if not motion else {},
                )
