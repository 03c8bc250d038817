"""The projection kernels beside the usual numpy recipes, in one run.

    python benchmarks/kernels.py

Prints milliseconds per call (median) and how many times faster the kernel is.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.event_raster import EventProjector, pixel_table
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import EventEncoding, LidarEncoding
import numpy as np

REPEATS = 15
FULL_HD = CameraModel(
    (1080, 1920),
    np.array([[1150.0, 0, 959.5], [0, 1150, 539.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0.0]),
)
EVENT_CAMERA = CameraModel(
    (720, 1280), np.array([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]]), np.zeros(5)
)
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0.0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


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


def numpy_event_raster(events: Events, table: np.ndarray, camera: CameraModel) -> np.ndarray:
    """`np.add.at`, as most event tutorials do it."""
    pixel = table[events.y, events.x]
    kept = pixel >= 0
    counts = np.zeros((camera.size_hw[0] * camera.size_hw[1], 3), np.float32)
    np.add.at(counts, (pixel[kept], 1 - events.polarity[kept]), 1)
    return counts


def milliseconds(call: Callable[[], object]) -> float:
    """Median time of a call, after a first one that may compile."""
    call()
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return 1e3 * median(times)


def main() -> None:
    """Measure and print."""
    random = np.random.default_rng(0)
    print(f'{"":34}{"kernel ms":>10}{"numpy ms":>10}{"ratio":>8}')
    for num_points in (131_072, 262_144):
        xyz = (random.normal(size=(num_points, 3)) * [20, 20, 2]).astype(np.float32)
        cloud = PointCloud(xyz, random.random(num_points, dtype=np.float32))
        encoding = LidarEncoding(1.0, 1)
        report(
            f'LiDAR, {num_points} points, 1080p',
            lambda c=cloud, e=encoding: lidar_raster(c, CAMERA_FROM_LIDAR, FULL_HD, e),
            lambda c=cloud: numpy_lidar_raster(c, FULL_HD),
        )
    for num_events in (100_000, 1_000_000):
        events = Events(
            random.integers(0, 1280, num_events).astype(np.uint16),
            random.integers(0, 720, num_events).astype(np.uint16),
            np.sort(random.integers(0, 30_000_000, num_events)),
            random.integers(0, 2, num_events).astype(np.uint8),
        )
        encoding = EventEncoding(30_000_000, 1)
        projector = EventProjector(EVENT_CAMERA, FULL_HD, np.eye(4), encoding)
        table = pixel_table(EVENT_CAMERA, FULL_HD, np.eye(4))
        report(
            f'events, {num_events}, 720p to 1080p',
            lambda p=projector, e=events: p.raster(e),
            lambda t=table, e=events: numpy_event_raster(e, t, FULL_HD),
        )


def report(name: str, kernel: Callable[[], object], recipe: Callable[[], object]) -> None:
    """Print one line."""
    ours, theirs = milliseconds(kernel), milliseconds(recipe)
    print(f'{name:34}{ours:>10.2f}{theirs:>10.2f}{theirs / ours:>8.1f}')


if __name__ == '__main__':
    main()
