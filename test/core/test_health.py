from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.health import (
    Escalation,
    HealthLimits,
    InputJudge,
    Level,
    Observation,
)
import pytest

LIMITS = HealthLimits()
NOW_S = 1_790_000_000.0
SEEN = Observation('/lidar/points', is_steady=True, num_publishers=1)


class Sensor:
    """A sensor at 10 Hz, reported on once per second by a scripted clock."""

    def __init__(self, seen=SEEN, limits=LIMITS):
        self.judge, self.seen, self.limits, self.now_s = InputJudge(), seen, limits, 100.0

    def report(self, seconds=1, received=10, **changes):
        """The last judgement after some seconds in each of which all this happened."""
        for _ in range(seconds):
            self.now_s += 1
            total = self.seen.received + received
            silence_s = 0.05 if received else self.seen.silence_s
            self.seen = replace(self.seen, received=total, silence_s=silence_s)
            for name, value in changes.items():
                if name in ('faults', 'served', 'sets'):
                    value = (getattr(self.seen, name) or 0) + value
                if name == 'refused':
                    value = {
                        reason: self.seen.refused.get(reason, 0) + count
                        for reason, count in value.items()
                    }
                self.seen = replace(self.seen, **{name: value})
            health = self.judge.judge(self.seen, self.now_s, self.limits)
        return health


def test_a_sound_sensor_is_ok_with_its_rate():
    sensor = Sensor()
    health = sensor.report(4, served=10, sets=10)
    assert (health.level, health.state, health.message) == (Level.OK, 'ok', '10.0 Hz')
    assert sensor.judge.rate_hz == pytest.approx(10)


@pytest.mark.parametrize(
    ('changes', 'state', 'words'),
    [
        (
            {'received': 0, 'num_publishers': 0},
            'never_received',
            'nothing received on /lidar/points yet: nobody publishes it',
        ),
        (
            {'received': 0},
            'never_received',
            'nothing received on /lidar/points yet, although it has a publisher',
        ),
        (
            {'received': 0, 'faults': 1, 'last_fault': 'expected compatible QoS'},
            'never_received',
            'yet: expected compatible QoS',
        ),
        ({'silence_s': 1.2}, 'stale', '/lidar/points is silent since 1.2 s'),
        ({'faults': 1, 'last_fault': 'expected x'}, 'rejected', 'expected x'),
        ({'lack': 'no transform from a to b'}, 'waiting_transform', 'no transform from a to b'),
        (
            {'lack': 'no intrinsics', 'lacks_camera_info': True},
            'waiting_camera_info',
            'no intrinsics',
        ),
        (
            {'refused': {'in_future': 10}, 'delay_s': -37.0, 'stamp_s': NOW_S, 'sets': 10},
            'out_of_sync',
            'refused (in_future); their stamps are 37.000 s ahead of the node: TAI',
        ),
        (
            {'served': 0, 'sets': 10, 'delay_s': 0.4, 'stamp_s': NOW_S},
            'out_of_sync',
            'none of the last 30 messages served one of 30 sensor sets',
        ),
    ],
)
def test_each_fault_has_its_state_and_escalates_and_recovers(changes, state, words):
    sensor = Sensor()
    if changes.get('received') != 0:
        sensor.report(2, served=10, sets=10)
    health = sensor.report(4, **changes)
    assert (health.level, health.state) == (Level.WARN, state)
    assert words in health.message
    health = sensor.report(6, **changes)
    assert (health.level, health.state) == (Level.ERROR, state)
    sound = {'faults': 0, 'lack': None, 'refused': {}, 'served': 10, 'sets': 10}
    assert sensor.report(1, silence_s=0.05, **sound).level == Level.OK
    if changes.get('received') != 0:
        assert sensor.report(4, **changes).level == Level.WARN  # it counts anew


def test_what_nobody_needs_may_be_missing():
    health = Sensor(replace(SEEN, is_steady=False)).report(20, received=0)
    assert (health.level, health.state) == (Level.OK, 'never_received')


def test_a_fault_that_turns_into_another_keeps_its_age():
    sensor = Sensor()
    sensor.report(3, received=0)
    assert sensor.report(3, lack='nothing').level == Level.ERROR


def test_some_refused_samples_are_no_lost_synchronisation():
    health = Sensor().report(8, refused={'out_of_order': 9, 'too_old': 4}, served=5, sets=10)
    assert health.level == Level.OK


def test_nothing_is_out_of_sync_while_no_sets_are_made():
    assert Sensor().report(8, served=0, sets=0).level == Level.OK


@given(st.lists(st.booleans(), max_size=30), st.floats(0, 10))
def test_escalation_counts_only_unbroken_warnings(fine, error_after_s):
    escalation, run = Escalation(), None
    for now_s, is_fine in enumerate(fine):
        run = None if is_fine else (now_s if run is None else run)
        level = escalation.level(is_fine, now_s, error_after_s)
        if is_fine:
            assert level == Level.OK
        else:
            assert (level == Level.ERROR) == (now_s - run >= error_after_s)
