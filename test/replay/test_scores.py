"""Figures are those of their definitions, worked out from what was counted."""

from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.replay.score.scores import scores
from mle_sam_ros.replay.score.tallies import DISTANCES_M, Layout, Tallies
import numpy as np
import pytest

LAYOUT = Layout(('road', 'car', 'sky'), ('camera', 'lidar'), 2)
WEIGHTS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30)


def tallies_of_weights(weights):
    tallies = Tallies(LAYOUT)
    for weight in weights:
        tallies.whole.frames += 1
        tallies.whole.add_weights(np.array([[weight, 1 - weight]] * 2, np.float32))
    return tallies


@settings(deadline=None)
@given(WEIGHTS)
def test_statistics_of_weights_are_right_to_a_thousandth(weights):
    found = scores(tallies_of_weights(weights))['router_weights']['level_1']['camera']
    values = np.array(weights, np.float32).astype(np.float64)
    assert found['mean'] == pytest.approx(values.mean(), abs=1e-6)
    near = {'abs': 5.1e-4}
    assert found['std'] == pytest.approx(values.std(), **near)
    assert found['min'] == pytest.approx(values.min(), **near)
    assert found['max'] == pytest.approx(values.max(), **near)
    for percent in (5, 50, 95):
        expected = np.percentile(values, percent, method='inverted_cdf')
        assert found[f'p{percent}'] == pytest.approx(expected, **near)


def test_bins_of_the_reliability_diagram():
    tallies = Tallies(LAYOUT)
    tallies.whole.calibration[:, 255] = 30, 40
    tallies.whole.calibration[:, 0] = 0, 10
    calibration = scores(tallies)['calibration']
    assert [item['pixels'] for item in calibration['bins']] == [10, *[0] * 13, 40]
    assert calibration['bins'][14] == {
        'from': 0.933333, 'to': 1.0, 'pixels': 40, 'confidence': 1.0, 'accuracy': 0.75,
    }  # fmt: skip
    assert calibration['bins'][5]['accuracy'] is None
    assert calibration['error'] == pytest.approx(40 * 0.25 / 50)


def test_distance_bands_tell_their_bounds():
    tallies = Tallies(LAYOUT)
    tallies.whole.distance[1] = [[3, 0, 0], [4, 1, 0], [4, 1, 0]]
    bands = scores(tallies)['distance_bands']
    assert [(band['from_m'], band['to_m']) for band in bands] == [
        (0, 10), (10, 20), (20, 40), (40, 80), (80, None),
    ]  # fmt: skip
    assert len(bands) == len(DISTANCES_M)
    assert bands[0]['miou'] is None
    assert bands[1]['pixels'] == 5
    assert bands[1]['iou'] == {'road': 0.6, 'car': 0.0, 'sky': None}
    assert bands[1]['miou'] == 0.3


def test_the_matrix_has_the_largest_set_of_sensors_first():
    tallies = Tallies(LAYOUT)
    for key in ('lidar', 'camera+lidar', 'camera'):
        tallies.whole.add_subset(key, 2, np.array([[1, 0, 0], [1, 0, 0], [2, 0, 0]]))
    subsets = scores(tallies)['subsets']
    assert list(subsets) == ['camera+lidar', 'camera', 'lidar']
    assert subsets['lidar']['miou'] == 0.5
    assert subsets['lidar']['frames_scored'] == 2
