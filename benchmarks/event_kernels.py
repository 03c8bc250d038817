"""Event kernels beside their peers; run by `kernels.py`."""

from collections.abc import Iterator

from kernel_case import KernelCase
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.event_raster import EventProjector, pixel_table
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.manifest import EventEncoding
import numpy as np

FULL_HD = CameraModel(
    (1080, 1920),
    np.array([[1150.0, 0, 959.5], [0, 1150, 539.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0.0]),
)
EVENT_CAMERA = CameraModel(
    (720, 1280), np.array([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]]), np.zeros(5)
)


def numpy_event_raster(events: Events, table: np.ndarray, camera: CameraModel) -> np.ndarray:
    """`np.add.at`, as most event tutorials do it."""
    pixel = table[events.y, events.x]
    kept = pixel >= 0
    counts = np.zeros((camera.size_hw[0] * camera.size_hw[1], 3), np.float32)
    np.add.at(counts, (pixel[kept], 1 - events.polarity[kept]), 1)
    return counts


def cases() -> Iterator[KernelCase]:
    """What to measure."""
    random = np.random.default_rng(0)
    encoding = EventEncoding(30_000_000, 1)
    for num_events in (100_000, 1_000_000):
        events = Events(
            random.integers(0, 1280, num_events).astype(np.uint16),
            random.integers(0, 720, num_events).astype(np.uint16),
            np.sort(random.integers(0, 30_000_000, num_events)),
            random.integers(0, 2, num_events).astype(np.uint8),
        )
        projector = EventProjector(EVENT_CAMERA, FULL_HD, np.eye(4), encoding)
        table = pixel_table(EVENT_CAMERA, FULL_HD, np.eye(4))
        yield KernelCase(
            f'event counts, {num_events} events, 720p to 1080p',
            num_events,
            lambda p=projector, e=events: p.raster(e),
            {'numpy add.at': lambda t=table, e=events: numpy_event_raster(e, t, FULL_HD)},
        )
