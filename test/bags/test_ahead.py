"""Work on a thread of its own gives the same items in the same order, and ends when told to."""

from itertools import count
import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.bags.ahead import Ahead
import pytest

DELAYS_S = st.lists(st.sampled_from([0, 0, 0.001, 0.003]), max_size=12)


def slowly(items, delays_s):
    for index, item in enumerate(items):
        time.sleep(delays_s[index % len(delays_s)] if delays_s else 0)
        yield item


@settings(max_examples=40, deadline=None)
@given(
    items=st.lists(st.integers(), max_size=12),
    limits=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    delays_s=st.lists(DELAYS_S, min_size=4, max_size=4),
)
def test_stages_give_what_one_thread_gives(items, limits, delays_s):
    stages = [Ahead(slowly(items, delays_s[0]), limits[0])]
    for limit, delay_s in zip(limits[1:], delays_s[1:], strict=False):
        stages.append(Ahead(slowly(stages[-1], delay_s), limit))
    assert list(slowly(stages[-1], delays_s[3])) == items
    assert next(stages[-1], None) is None
    for stage in reversed(stages):
        stage.close()


@pytest.mark.parametrize('limit', [1, 3])
def test_it_runs_no_further_ahead(limit):
    started = []

    def items():
        for index in range(10):
            started.append(index)
            yield index

    with Ahead(items(), limit) as ahead:
        for index in range(10):
            assert next(ahead) == index
            time.sleep(0.01)
            # Those that wait, and one at hand.
            assert len(started) <= index + 1 + limit + 1


def test_an_error_comes_where_it_would_have_come():
    def items():
        yield 1
        yield 2
        raise ValueError('three')

    with Ahead(items(), 8) as ahead:
        time.sleep(0.02)
        assert [next(ahead), next(ahead)] == [1, 2]
        with pytest.raises(ValueError, match='three'):
            next(ahead)
        assert next(ahead, None) is None


@pytest.mark.parametrize('num_taken', [0, 1, 5])
def test_leaving_closes_the_generator_on_its_thread(num_taken):
    closed_by = []

    def items():
        try:
            yield from count()
        finally:
            closed_by.append(threading.current_thread())

    num_before = threading.active_count()
    with Ahead(items(), 2) as ahead:
        for _ in range(num_taken):
            next(ahead)
    assert threading.active_count() == num_before
    assert len(closed_by) == 1
    assert closed_by[0] is not threading.current_thread()
    assert next(ahead, None) is None


def test_leaving_by_an_error_ends_all_stages():
    closed = []

    def stage(items, name):
        try:
            for item in items:
                time.sleep(0.001)
                yield item
        finally:
            closed.append(name)

    def work():
        with (
            Ahead(stage(count(), 'first'), 2) as first,
            Ahead(stage(first, 'second'), 2) as second,
        ):
            for item in second:
                if item == 5:
                    raise KeyboardInterrupt

    num_before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert sorted(closed) == ['first', 'second']
    assert threading.active_count() == num_before


def test_iterators_that_cannot_be_closed():
    with Ahead(iter([1, 2, 3]), 2) as ahead:
        assert next(ahead) == 1
