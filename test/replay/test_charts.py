"""Plots show the numbers they were given."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.replay import charts
import numpy as np
import pytest


def points(text):
    return [tuple(map(float, pair.split(','))) for pair in text.split()]


def test_areas_pile_up_to_the_whole():
    shares = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
    lower, upper = map(points, charts.stacked_areas(np.array([5.0, 6.0, 7.0]), shares))
    assert lower[:3] == [(0, 75), (500, 50), (1000, 0)]
    assert lower[3:] == [(1000, 100), (500, 100), (0, 100)]
    assert upper[:3] == [(0, 0), (500, 0), (1000, 0)]
    assert upper[3:] == lower[2::-1]


def test_a_line_breaks_where_nothing_is_known():
    values = np.array([0, 5, np.nan, np.nan, 10, 20])
    parts = charts.line(np.arange(6.0), values, 10)
    assert [points(part) for part in parts] == [
        [(0, 100), (200, 50)],
        [(800, 0), (1000, 0)],
    ]
    assert charts.line(np.arange(2.0), np.full(2, np.nan), 1) == []


def test_spans_cover_each_sample_until_the_next():
    spans = charts.spans(np.array([0.0, 1, 2, 3]), [True, True, False, True])
    assert spans == [(0, 50), (75, 25)]
    assert charts.spans(np.array([4.0]), [True]) == [(0, 100)]
    assert charts.spans(np.array([0.0, 1]), [False, False]) == []


@given(st.integers(1, 5000))
def test_thinning_keeps_both_ends(count):
    kept = charts.thinned(count)
    assert kept[0] == 0
    assert kept[-1] == count - 1
    assert len(kept) <= 600
    assert np.all(np.diff(kept) > 0)


@pytest.mark.parametrize(
    ('value', 'top'), [(0, 1), (0.7, 1), (1, 1), (1.2, 2), (34, 50), (51, 100), (0.02, 0.02)]
)
def test_round_top(value, top):
    assert charts.round_top(value) == pytest.approx(top)
