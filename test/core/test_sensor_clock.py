from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.sensor_clock import SensorClock
import numpy as np
import pytest

MS = 1_000_000
SECOND = 1000 * MS
START = 1_700_000_000 * SECOND


def drive(clock, delays_ns, begin_ns=0, period_ns=4 * MS, offset_ns=START, drift_ppm=0.0):
    """A message for each delay; gives when their first events were, on the host's clock."""
    host = []
    for index, delay_ns in enumerate(delays_ns):
        sensor_ns = begin_ns + index * period_ns
        true_ns = offset_ns + sensor_ns + int(sensor_ns * drift_ppm * 1e-6)
        clock.observe(sensor_ns, true_ns + int(delay_ns))
        host.append(clock.to_host(np.array([sensor_ns]), sensor_ns) - true_ns)
    return np.array(host)


def delays(count, seed=0):
    """As measured on a sensor: the least of 4 ms, mostly 1 ms more, at most 4."""
    return 4 * MS + np.random.default_rng(seed).uniform(0, 1, count) ** 2 * 4 * MS


def test_the_least_delay_remains():
    errors = drive(SensorClock(), delays(2000))
    assert (np.abs(errors[250:] - 4 * MS) < 0.05 * MS).all()


def test_nothing_is_known_at_first():
    clock = SensorClock()
    assert clock.offset_ns is clock.drift_ppm is None


@pytest.mark.parametrize('drift_ppm', [-80.0, 0.0, 25.0, 80.0])
def test_drift_is_found_and_followed(drift_ppm):
    clock = SensorClock()
    errors = drive(clock, delays(10_000), drift_ppm=drift_ppm)
    assert clock.drift_ppm == pytest.approx(drift_ppm, abs=3)
    # The least difference of ten seconds lags behind a slower sensor's by what it drifts in them.
    assert (np.abs(errors[250:] - 4 * MS) < 0.9 * MS).all()
    assert clock.jumps == 0


@given(st.lists(st.integers(0, 50 * MS), min_size=2, max_size=40))
def test_host_times_never_go_back(delays_ns):
    clock, last_ns = SensorClock(), 0
    for index, delay_ns in enumerate(delays_ns):
        sensor_ns = index * 2 * MS
        clock.observe(sensor_ns, START + sensor_ns + delay_ns)
        host_ns = np.array([sensor_ns, sensor_ns + MS])
        end_ns = clock.to_host(host_ns, sensor_ns + 2 * MS)
        assert last_ns <= host_ns[0] <= host_ns[1] <= end_ns
        last_ns = end_ns


def test_a_message_that_is_late_changes_nothing():
    clock = SensorClock()
    late = np.full(500, 4 * MS)
    late[100:110] = 300 * MS
    errors = drive(clock, late)
    assert (errors == 4 * MS).all()
    assert clock.jumps == 0


@pytest.mark.parametrize('step_ns', [-3 * SECOND, -50 * MS, 30 * MS, 500 * MS, 17 * SECOND])
def test_a_clock_that_is_set_is_followed_within_half_a_second(step_ns):
    clock = SensorClock()
    drive(clock, delays(1000))
    drive(clock, delays(1000, 1), begin_ns=4 * SECOND, offset_ns=START + step_ns)
    assert clock.offset_ns == pytest.approx(START + step_ns + 4 * MS, abs=0.1 * MS)
    found = SensorClock()
    drive(found, delays(1000))
    drive(found, delays(125, 1), begin_ns=4 * SECOND, offset_ns=START + step_ns)
    assert found.offset_ns == pytest.approx(START + step_ns + 4 * MS, abs=0.5 * MS)
    assert found.jumps == (step_ns > 0 or step_ns < -SECOND)


def test_the_same_messages_give_the_same_times():
    given_delays = delays(500)
    np.testing.assert_array_equal(
        drive(SensorClock(), given_delays), drive(SensorClock(), given_delays)
    )
