"""Durations are counted in bins of one percent, which add up over drives."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.score.latency import Histogram, Latency
import numpy as np
import pytest

DURATIONS_MS = st.lists(st.floats(1e-3, 1e5), min_size=1, max_size=40)


@given(DURATIONS_MS, st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_right_to_half_a_percent(durations_ms, percent):
    histogram = Histogram()
    for value in durations_ms:
        histogram.add(value)
    expected = np.percentile(durations_ms, percent, method='inverted_cdf')
    assert histogram.percentile_ms(percent) == pytest.approx(expected, rel=0.0051)


@given(DURATIONS_MS, DURATIONS_MS)
def test_drives_add_up_in_any_order(first, second):
    whole, parts = Latency(), (Latency(), Latency())
    for latency, values in zip(parts, (first, second), strict=True):
        for value in values:
            latency.add(value, {'infer': value / 2})
            whole.add(value, {'infer': value / 2})
    for one, other in (parts, parts[::-1]):
        total = Latency.from_mapping(one.to_mapping())
        total.add_all(other)
        assert total.to_mapping() == whole.to_mapping()


def test_stages_stand_before_their_parts():
    latency = Latency()
    latency.add(10, {'decode': 1, 'infer': 8, 'infer/camera': 5, 'resize': 0})
    latency.add(10, {'infer/lidar': 3})
    mapping = latency.to_mapping()
    assert list(mapping['stages']) == ['decode', 'infer', 'infer/camera', 'infer/lidar', 'resize']
    assert mapping['stages']['resize']['p50'] == pytest.approx(1e-4, rel=0.01)
    assert mapping['stages']['infer/lidar']['histogram'] == {'110': 1}


def test_without_frames_there_is_none():
    assert Latency().to_mapping()['total'] is None
    assert Latency.from_mapping(Latency().to_mapping()).to_mapping() == Latency().to_mapping()


@pytest.mark.parametrize(
    'content',
    [
        [],
        {},
        {'schema': 'another', 'total': None, 'stages': {}},
        {'schema': 'mle_sam_ros/latency/1', 'total': {}, 'stages': {}},
        {'schema': 'mle_sam_ros/latency/1', 'total': {'histogram': {'a': 1}}, 'stages': {}},
        {'schema': 'mle_sam_ros/latency/1', 'total': None, 'stages': []},
    ],
)
def test_something_else_is_refused_in_one_line(content):
    with pytest.raises(InputError, match=r'here\.json: expected latencies') as error:
        Latency.from_mapping(content, 'here.json')
    assert '\n' not in str(error.value)
