"""Plots show the numbers they were given."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.replay.report import charts
import numpy as np
import pytest


def points(text):
    return [tuple(map(float, pair.split(','))) for pair in text.split()]


def test_areas_pile_up_to_the_whole():
    shares = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
    times_s = np.array([5.0, 6.0, 7.0])
    lower, upper = map(points, charts.stacked_areas(charts.Axis(5, 7), times_s, shares))
    assert lower[:3] == [(0, 75), (500, 50), (1000, 0)]
    assert lower[3:] == [(1000, 100), (500, 100), (0, 100)]
    assert upper[:3] == [(0, 0), (500, 0), (1000, 0)]
    assert upper[3:] == lower[2::-1]


def test_a_line_breaks_where_nothing_is_known():
    values = np.array([0, 5, np.nan, np.nan, 10, 20])
    parts = charts.line(charts.Axis(0, 5), np.arange(6.0), values, 10)
    assert [points(part) for part in parts] == [
        [(0, 100), (200, 50)],
        [(800, 0), (1000, 0)],
    ]
    assert charts.line(charts.Axis(0, 1), np.arange(2.0), np.full(2, np.nan), 1) == []


def test_spans_cover_each_sample_until_the_next():
    times_s = np.array([2.0, 3, 4, 5])
    axis = charts.axis_of(times_s)
    assert (axis.from_s, axis.to_s) == (2, 6)
    assert charts.spans(axis, times_s, [True, True, False, True]) == [(2, 4), (5, 6)]
    assert charts.spans(axis, times_s, [False] * 4) == []
    assert charts.spans(charts.axis_of(times_s[:1]), times_s[:1], [True]) == [(2, 3)]


def test_places_on_an_axis_stay_within_it():
    axis = charts.Axis(10, 20)
    assert [axis.percent(time_s) for time_s in (5, 10, 12.5, 20, 30)] == [0, 0, 25, 100, 100]
    assert axis.span(15, 40) == (50, 50)


@given(st.lists(st.floats(0, 100) | st.just(np.nan), min_size=1, max_size=2000))
def test_no_dip_is_lost(values):
    values = np.array(values)
    kept = charts.lowest(values)
    assert len(kept) == min(len(values), 600)
    assert np.all(np.diff(kept) > 0)
    if not np.isnan(values).all():
        assert np.nanmin(values[kept]) == np.nanmin(values)


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
