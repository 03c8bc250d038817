"""What is costly is done of five frames a second."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.replay.sampling import Sampling

MS = 1_000_000


@given(st.lists(st.integers(0, 3000), unique=True))
def test_the_first_frame_in_each_fifth_of_a_second_is_taken(times_ms):
    sampling, times_ms = Sampling(), sorted(times_ms)
    taken = [time for time in times_ms if sampling.takes(time * MS)]
    firsts = {time // 200: time for time in reversed(times_ms)}
    assert taken == sorted(firsts.values())


def test_slow_sensors_lose_nothing():
    sampling = Sampling()
    assert all(sampling.takes(time_ms * MS) for time_ms in range(0, 10_000, 200))


def test_a_clock_that_jumps_back_goes_on():
    sampling = Sampling()
    assert [sampling.takes(time * MS) for time in (5000, 5050, 1000, 1050)] == [
        True, False, True, False,
    ]  # fmt: skip
