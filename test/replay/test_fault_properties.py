"""What holds of all faults, whatever they are and however they are put together."""

from collections import Counter
from dataclasses import replace

from fault_streams import contents, drive, inject, of
from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.rig import MISPLACED
import numpy as np
import pytest
from tiny_drive import MS, START

CLEAN = drive(12)
BYTES = contents(CLEAN)

numbers = st.floats(0, 1).map(lambda value: round(value, 3))
windows = st.sampled_from(['', '@0-0.4', '@0.3-0.7', '@0.5-9', '@5-6'])
streams = st.sampled_from(['camera', 'event', 'lidar'])


def texts(kinds, some_streams=streams):
    values = st.tuples(some_streams, st.sampled_from(kinds), numbers, windows)
    return values.map(lambda parts: '{}:{}={}{}'.format(*parts))


losing = texts(['drop']) | st.tuples(streams, numbers, windows).map(
    lambda parts: f'{parts[0]}:rate={1 + 10 * parts[1]}{parts[2]}'
)
late = texts(['delay', 'jitter'])
changing = (
    texts(['rotate', 'stamp'], st.sampled_from(['event', 'lidar']))
    | texts(['shift', 'beams'], st.just('lidar'))
    | texts(['freeze'], st.sampled_from(['camera', 'lidar']))
    | texts(['exposure'], st.just('camera'))
    | st.tuples(numbers, windows).map(lambda parts: f'event:burst={5000 * parts[0]}{parts[1]}')
)
seeds = st.integers(0, 2**40)


def count(arrivals):
    return Counter(item.stream for item in arrivals if item.stream != MISPLACED)


@given(st.lists(losing | late | changing, max_size=5), seeds)
def test_arrivals_are_in_order_and_only_losses_lose(faults, seed):
    left = inject(CLEAN, *faults, seed=seed)
    times = [item.time_ns for item in left]
    assert times == sorted(times)
    lossy = {text.partition(':')[0] for text in faults if ':drop' in text or ':rate' in text}
    for stream, number in count(CLEAN).items():
        if stream in lossy:
            assert count(left)[stream] <= number
        else:
            assert count(left)[stream] == number
    assert set(count(left)) <= set(count(CLEAN))


@given(st.lists(losing | late | changing, max_size=4), seeds)
def test_the_same_seed_gives_the_same_bytes_and_the_recording_stays_as_it_is(faults, seed):
    once = [_comparable(item) for item in inject(CLEAN, *faults, seed=seed)]
    assert once == [_comparable(item) for item in inject(CLEAN, *faults, seed=seed)]
    assert contents(CLEAN) == BYTES


@given(st.lists(losing | late | changing, max_size=4), streams, seeds)
def test_a_stream_knows_nothing_of_the_faults_of_others(faults, stream, seed):
    own = [text for text in faults if text.startswith(f'{stream}:')]
    alone = [_comparable(item) for item in of(inject(CLEAN, *own, seed=seed), stream)]
    among = [_comparable(item) for item in of(inject(CLEAN, *faults, seed=seed), stream)]
    assert alone == among


@given(st.lists(late, max_size=3), st.lists(losing, max_size=3), seeds)
def test_what_is_lost_does_not_depend_on_what_is_late(late_ones, losing_ones, seed):
    def left(*faults):
        arrivals = inject(CLEAN, *faults, seed=seed)
        return Counter(id(item.message) for item in arrivals if item.stream != MISPLACED)

    assert left(*late_ones, *losing_ones) == left(*losing_ones, *late_ones) == left(*losing_ones)


@given(st.lists(late, min_size=1, max_size=4), seeds, st.randoms())
def test_delays_add_up_in_any_order(faults, seed, random):
    def arrival_times(some):
        return {id(item.message): item.time_ns for item in inject(CLEAN, *some, seed=seed)}

    # Of two faults of one kind and stream, the first has another chance than the second.
    one_of_each = list({tuple(text.split('=')[:1]): text for text in faults}.values())
    shuffled = random.sample(one_of_each, len(one_of_each))
    assert arrival_times(one_of_each) == arrival_times(shuffled)


@given(losing | late | changing, seeds)
def test_before_its_window_a_fault_does_nothing(text, seed):
    name = text.partition('@')[0]
    limit_ns = START + 300 * MS
    left = inject(CLEAN, f'{name}@0.3-0.6', seed=seed)
    before = [item for item in left if item.time_ns < limit_ns]
    assert before == [item for item in CLEAN if item.time_ns < limit_ns]


@pytest.mark.parametrize('kind', ['drop', 'freeze'])
def test_more_of_a_fault_befalls_the_same_messages_and_others(kind):
    def befallen(part):
        left = {id(item.message) for item in inject(CLEAN, f'lidar:{kind}={part}')}
        return {index for index, item in enumerate(CLEAN) if id(item.message) not in left}

    assert befallen(0.2) <= befallen(0.5) <= befallen(0.9)


junk_numbers = st.sampled_from([0, 1, 2, 7, 255, 40_000, 2**31, 2**32 - 1, 2**62])
FIELDS = {
    'camera': ['height', 'width', 'step', 'is_bigendian'],
    'lidar': ['height', 'width', 'point_step', 'row_step', 'is_bigendian'],
    'event': ['height', 'width', 'seq', 'time_base', 'is_bigendian'],
}


@given(st.data(), st.binary(max_size=300), seeds)
def test_messages_that_make_no_sense_pass_through(data, content, seed):
    """Nothing but what the pipeline says of them: no fault ends a drive."""
    stream = data.draw(st.sampled_from(list(FIELDS)))
    changes = data.draw(st.dictionaries(st.sampled_from(FIELDS[stream]), junk_numbers))
    if data.draw(st.booleans()):
        changes['events' if stream == 'event' else 'data'] = np.frombuffer(content, np.uint8)
    texts = {
        'camera': ['camera:exposure=1', 'camera:freeze=1'],
        'event': ['event:stamp=0.1', 'event:burst=1e5', 'event:stamp=-1'],
        'lidar': ['lidar:stamp=0.1', 'lidar:beams=0.5', 'lidar:freeze=0.5', 'lidar:stamp=-9'],
    }[stream]
    arrivals = of(CLEAN, stream)[:4]
    arrivals[1] = arrivals[1]._replace(message=replace(arrivals[1].message, **changes))
    assert len(inject(arrivals, *texts, seed=seed)) == len(arrivals)


def _comparable(item):
    if item.stream == MISPLACED:
        return item.time_ns, item.message.stream, item.message.error.tobytes()
    return contents([item])[0]
