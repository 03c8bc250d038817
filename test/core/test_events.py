from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.events import EMPTY, Events
import numpy as np
import pytest


def at_times(times):
    column = np.zeros(len(times), np.uint16)
    index = np.arange(len(times), dtype=np.uint16)
    return Events(index, column, np.array(times, np.int64), column.astype(np.uint8))


@given(st.lists(st.integers(0, 30)).map(sorted), st.integers(-5, 35), st.integers(-5, 35))
def test_window_is_open_on_the_left_and_closed_on_the_right(times, after, until):
    events = at_times(times)
    assert list(events.window(after, until).t_ns) == [t for t in times if after < t <= until]


@given(st.lists(st.integers(0, 5)))
def test_in_order_keeps_the_order_of_one_time(times):
    events = at_times(times).in_order()
    assert list(zip(events.t_ns, events.x, strict=True)) == sorted(
        zip(times, range(len(times)), strict=True)
    )


def test_concatenating_nothing_gives_no_events():
    assert Events.concatenate([]) is EMPTY


def test_a_slice_is_a_view():
    events = at_times([1, 2, 3])
    assert np.shares_memory(events[1:].t_ns, events.t_ns)
    assert list(events[events.t_ns > 1].x) == [1, 2]


def test_memory_is_thirteen_bytes_an_event():
    assert Events.uninitialized(10).nbytes == pytest.approx(130)
