from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.event_raster import EventProjector, pixel_table
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.manifest import EventEncoding
from mle_sam_ros.core.transforms import matrix_from_pose
import numpy as np

EVENT_CAMERA = CameraModel(
    (26, 34), np.array([[20.0, 0, 16.5], [0, 20, 12.5], [0, 0, 1]]), np.array([-0.1, 0, 0, 0, 0])
)
CAMERA = CameraModel(
    (32, 64), np.array([[32.0, 0, 31.5], [0, 32, 15.5], [0, 0, 1]]), np.array([-0.05, 0, 0, 0, 0])
)
_ANGLE = 0.05
CAMERA_FROM_EVENT = matrix_from_pose(
    np.array([0.1, 0, 0]), np.array([0, np.sin(_ANGLE / 2), 0, np.cos(_ANGLE / 2)])
)


def random_events(rng, num_events, height, width):
    return Events(
        rng.integers(0, width, num_events).astype(np.uint16),
        rng.integers(0, height, num_events).astype(np.uint16),
        np.sort(rng.integers(0, 10**7, num_events)),
        rng.integers(0, 2, num_events).astype(np.uint8),
    )


def reference(events):
    """Event by event, through the ray of its pixel."""
    counts = np.zeros((32, 64, 3), np.int64)
    rays = EVENT_CAMERA.rays()
    for x, y, polarity in zip(events.x, events.y, events.polarity, strict=True):
        if x >= 34 or y >= 26:
            continue
        ray = CAMERA_FROM_EVENT[:3, :3] @ rays[y, x]
        if ray[2] <= 0 or (ray[0] / ray[2]) ** 2 + (ray[1] / ray[2]) ** 2 > 10:
            continue
        u, v = np.floor(CAMERA.project(ray[None])[0] + 0.5).astype(int)
        if 0 <= u < 64 and 0 <= v < 32:
            counts[v, u, 0 if polarity else 1] += 1
    return np.minimum(counts, 255).astype(np.uint8)


PROJECTOR = EventProjector(EVENT_CAMERA, CAMERA, CAMERA_FROM_EVENT, EventEncoding(30_000_000, 1))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 400))
def test_agrees_with_the_reference(seed, num_events):
    # Some events lie outside the sensor: bit errors happen.
    events = random_events(np.random.default_rng(seed), num_events, 28, 36)
    np.testing.assert_array_equal(PROJECTOR.raster(events), reference(events))


def test_counts_saturate():
    ones = np.ones(1000, np.uint16)
    events = Events(ones * 17, ones * 13, np.arange(1000), ones.astype(np.uint8))
    raster = PROJECTOR.raster(events)
    assert raster[:, :, 0].max() == 255
    assert not raster[:, :, 1:].any()


def test_same_camera_sees_the_same_pixels():
    encoding = EventEncoding(30_000_000, 1)
    projector = EventProjector(EVENT_CAMERA, EVENT_CAMERA, np.eye(4), encoding)
    events = random_events(np.random.default_rng(1), 300, 26, 34)
    raster = projector.raster(events)
    assert raster.sum() == 300
    assert raster[events.y[0], events.x[0], 1 - events.polarity[0]] > 0


def test_dilation_is_a_maximum_over_a_square():
    events = Events(np.array([17], 'u2'), np.array([13], 'u2'), np.array([0]), np.array([1], 'u1'))
    projector = EventProjector(
        EVENT_CAMERA, CAMERA, CAMERA_FROM_EVENT, EventEncoding(30_000_000, 3)
    )
    assert projector.raster(events).sum() == 9


def test_a_large_sensor_by_its_table():
    """Many pixels fall on one, up to the brim."""
    sensor = EVENT_CAMERA.scaled_to((260, 340))
    events = random_events(np.random.default_rng(3), 2_000_000, 265, 345)
    counts = np.zeros((32 * 64, 3), np.int64)
    on_sensor = (events.x < 340) & (events.y < 260)
    pixels = pixel_table(sensor, CAMERA, CAMERA_FROM_EVENT)[
        events.y[on_sensor], events.x[on_sensor]
    ]
    channels = np.where(events.polarity[on_sensor] > 0, 0, 1)
    np.add.at(counts, (pixels[pixels >= 0], channels[pixels >= 0]), 1)
    projector = EventProjector(sensor, CAMERA, CAMERA_FROM_EVENT, EventEncoding(30_000_000, 1))
    expected = np.minimum(counts, 255).reshape(32, 64, 3)
    assert expected.max() == 255
    np.testing.assert_array_equal(projector.raster(events), expected)
