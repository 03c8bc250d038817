from mle_sam_ros.simulation.events import EventSensor
from mle_sam_ros.simulation.failures import Failure
import numpy as np

QUIET = 0.0


def slow_crossings(before, after, level, up, down):
    """One pixel at a time, one step at a time: (parts, polarities)."""
    found = []
    while after - level >= up:
        level += up
        found.append((np.clip((level - before) / (after - before), 0, 1), 1))
    while level - after >= down:
        level -= down
        found.append((np.clip((level - before) / (after - before), 0, 1), 0))
    return found


def test_brighter_gives_positive_and_darker_negative_events():
    before = np.zeros((4, 6), np.float32)
    sensor = EventSensor(before, 0, Failure(), QUIET, np.random.default_rng(0))
    after = before.copy()
    after[1, 2], after[3, 5] = 1.0, -1.0
    events = sensor.advance(after, 10_000_000)
    assert len(events) >= 6
    up = events.polarity == 1
    assert set(zip(events.x[up], events.y[up], strict=True)) == {(2, 1)}
    assert set(zip(events.x[~up], events.y[~up], strict=True)) == {(5, 3)}
    assert (np.diff(events.t_ns) >= 0).all()
    assert events.t_ns[0] > 0
    assert events.t_ns[-1] <= 10_000_000


def test_crossings_agree_with_a_slow_reference():
    rng = np.random.default_rng(3)
    before = rng.normal(0, 1, (5, 7)).astype(np.float32)
    after = before + rng.normal(0, 0.8, (5, 7)).astype(np.float32)
    sensor = EventSensor(before, 0, Failure(), QUIET, rng)
    level, (up, down) = sensor._level.copy(), sensor._thresholds
    events = sensor.advance(after, 10_000_000)
    for y in range(5):
        for x in range(7):
            here = (events.x == x) & (events.y == y)
            expected = slow_crossings(before[y, x], after[y, x], level[y, x], up[y, x], down[y, x])
            assert events.polarity[here].tolist() == [polarity for _, polarity in expected]
            times = np.array([part * 10_000_000 for part, _ in expected])
            assert np.abs(events.t_ns[here] - times).max(initial=0) <= 2000


def test_still_scene_gives_only_noise():
    image = np.zeros((100, 100), np.float32)
    sensor = EventSensor(image, 0, Failure(), 50.0, np.random.default_rng(0))
    sensor.advance(image, 10_000_000)  # the pixels' start levels settle
    count = len(sensor.advance(image, 1_010_000_000))
    assert abs(count - 500_000) < 5_000


def test_low_resolution_reports_few_addresses():
    rng = np.random.default_rng(0)
    before = np.zeros((60, 80), np.float32)
    sensor = EventSensor(before, 0, Failure('event_low_resolution', 0.0), QUIET, rng)
    events = sensor.advance(before + 2, 10_000_000)
    assert len(events) > 0
    assert set(np.unique(events.x)) <= set(range(2, 80, 4))
    assert set(np.unique(events.y)) <= set(range(2, 60, 4))
