"""Each format's kernel against the slow decoder that says what the format means."""

from event_formats import (
    evt2_words,
    Evt2Reference,
    evt3_words,
    Evt3Reference,
    libcaer_cmp_words,
    libcaer_word,
    LibcaerCmpReference,
    LibcaerReference,
    mono_word,
    MonoReference,
    WRAP_US,
)
from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.event_evt2 import Evt2Words
from mle_sam_ros.core.event_evt3 import Evt3Words
from mle_sam_ros.core.event_libcaer import LibcaerCmpWords, LibcaerWords
from mle_sam_ros.core.event_mono import MonoWords
from mle_sam_ros.core.event_tally import NAMES
import numpy as np
import pytest

BASE_NS = 1_700_000_000_000_000_000
SIZE_HW = (260, 346)
FORMATS = {
    'evt3': (Evt3Words, Evt3Reference),
    'evt2': (Evt2Words, Evt2Reference),
    'libcaer_cmp': (LibcaerCmpWords, LibcaerCmpReference),
    'libcaer': (LibcaerWords, LibcaerReference),
    'mono': (MonoWords, MonoReference),
}
EVENTS = st.lists(
    st.tuples(st.integers(0, 345), st.integers(0, 259), st.integers(0, 2**23 - 1), st.booleans()),
    max_size=30,
).map(lambda events: sorted((x, y, t, int(p)) for x, y, t, p in events))


class Fast:
    """A kernel that reads words and gives tuples, and counts by name."""

    def __init__(self, kind, size_hw=SIZE_HW):
        self.words, self.size_hw = kind(), size_hw
        self.counts = np.zeros(len(NAMES), np.int64)

    def decode(self, words, time_base_ns=0):
        words = np.array(words, self.words.dtype)
        words.flags.writeable = False
        count = self.words.count(words)
        events = self.words.decode(words, count, self.size_hw, time_base_ns, self.counts)
        assert len(events) <= count
        return as_tuples(events)

    @property
    def tally(self):
        return dict(zip(NAMES, self.counts.tolist(), strict=True))


def as_tuples(events):
    columns = events.x, events.y, events.t_ns, events.polarity
    return list(zip(*(column.tolist() for column in columns), strict=True))


def nanoseconds(events, base_ns=0):
    return [(x, y, base_ns + 1000 * t, p) for x, y, t, p in events]


def in_time(events):
    return sorted(events, key=lambda event: event[2])


def row_of(length, t_us=5, polarity=1):
    """Neighbours, so that masks come into play."""
    return [(20 + x, 7, t_us, polarity) for x in range(length)]


@given(EVENTS)
def test_what_was_encoded_is_decoded(events):
    events = in_time(events)
    assert Fast(Evt3Words).decode(evt3_words(events)) == nanoseconds(events)
    assert Fast(Evt2Words).decode(evt2_words(events)) == nanoseconds(events)
    words = libcaer_cmp_words(events)
    assert Fast(LibcaerCmpWords).decode(words, BASE_NS) == nanoseconds(events, BASE_NS)
    words = [libcaer_word(*event) for event in events]
    assert Fast(LibcaerWords).decode(words, BASE_NS) == nanoseconds(events, BASE_NS)
    words = [mono_word(x, y, 1000 * (t % 2**20), p) for x, y, t, p in events]
    short = [(x, y, t % 2**20, p) for x, y, t, p in events]
    assert Fast(MonoWords).decode(words, BASE_NS) == nanoseconds(short, BASE_NS)


@pytest.mark.parametrize('length', [1, 2, 8, 9, 12, 13, 40])
def test_masks(length):
    events = row_of(length)
    words = evt3_words(events)
    assert len(words) == 2 + sum(2 + (step > 1) for step in _steps(length, 12))
    assert Fast(Evt3Words).decode(words) == nanoseconds(events)
    column = [(y, x, t, p) for x, y, t, p in events]
    assert Fast(LibcaerCmpWords).decode(libcaer_cmp_words(column)) == nanoseconds(column)


def _steps(length, most):
    return [min(most, length - begin) for begin in range(0, length, most)]


def test_masks_follow_one_another():
    words = [0x8000, 0x6005, 7, 0x3800 | 20, 0x4FFF, 0x50FF, 0x4001]
    assert Fast(Evt3Words).decode(words) == nanoseconds(row_of(21))


@pytest.mark.parametrize('first', [334, 335, 345, 346, 2047])
def test_masks_at_the_edge(first):
    tested = Fast(Evt3Words)
    words = [0x8000, 0x6005, 7, 0x3800 | first, 0x4FFF]
    assert [event[0] for event in tested.decode(words)] == [*range(first, min(346, first + 12))]
    assert tested.tally['out_of_range'] == 12 - max(0, min(12, 346 - first))


def likely_words(format_name):
    """Any words, but types, and times near one another, that occur."""
    if format_name in ('libcaer', 'mono'):
        return st.integers(0, 2**64 - 1) | st.builds(
            lambda word, x, y: word & ~(0x7FFF << 17 | 0x7FFF << 2) | x << 17 | y << 2,
            st.integers(0, 2**64 - 1), st.integers(0, 400), st.integers(0, 300),
        )  # fmt: skip
    bits = 28 if format_name == 'evt2' else 12
    small = st.integers(0, 400)
    times = st.sampled_from([0, 1, 2, 12, 2000, 2**bits - 1, 2**bits - 2, 2**bits - 11])
    kinds = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 8] * 3 + [*range(16)])
    value = small | times | st.integers(0, 2**bits - 1)
    return st.builds(lambda kind, value: kind << bits | value, kinds, value)


@pytest.mark.parametrize('format_name', FORMATS)
@given(data=st.data())
def test_any_words_are_decoded_as_the_reference_does(format_name, data):
    kind, reference = FORMATS[format_name]
    size_hw = data.draw(st.sampled_from([SIZE_HW, (1, 1), (2**32 - 1, 2**32 - 1)]))
    tested, reference = Fast(kind, size_hw), reference(size_hw)
    packets = data.draw(st.lists(st.lists(likely_words(format_name), max_size=60), max_size=4))
    for words in packets:
        if data.draw(st.booleans()):
            tested.words.skip()
            reference.skip()
        assert tested.decode(words, BASE_NS) == reference.decode(words, BASE_NS)
        assert tested.tally == reference.tally


@pytest.mark.parametrize('format_name', FORMATS)
def test_a_long_noise_is_decoded_as_the_reference_does(format_name):
    kind, reference = FORMATS[format_name]
    random = np.random.default_rng(7)
    tested, reference = Fast(kind), reference(SIZE_HW)
    for _ in range(4):
        noise = random.integers(0, 256, 20_000 * kind.dtype.itemsize, np.uint8)
        words = noise.view(kind.dtype)
        assert tested.decode(words, BASE_NS) == reference.decode(words, BASE_NS)
        assert tested.tally == reference.tally


# The time of EVT3


def evt3_time(t_us):
    return [0x8000 | t_us >> 12 & 0xFFF, 0x6000 | t_us & 0xFFF]


def one_event_at(*times_us):
    return [word for t_us in times_us for word in [*evt3_time(t_us), 7, 0x2000 | 9]]


def times_us(events):
    return [event[2] // 1000 for event in events]


def test_evt3_time_wraps():
    ahead_us = [-2, 3, 8_000_000, 16_000_000, WRAP_US + 5]
    times = [WRAP_US + t_us for t_us in ahead_us]
    assert times_us(Fast(Evt3Words).decode(one_event_at(*times))) == times


def test_evt3_state_lasts_from_packet_to_packet():
    words = evt3_words(row_of(40) + row_of(13, t_us=9000))
    for cut in range(len(words)):
        tested = Fast(Evt3Words)
        parts = [*tested.decode(words[:cut]), *tested.decode(words[cut:])]
        assert parts == nanoseconds(row_of(40) + row_of(13, t_us=9000))


def test_evt3_needs_a_high_and_then_a_low_time():
    tested = Fast(Evt3Words)
    assert tested.decode([0x6005, 7, 0x2009, 0x8001, 0x2009, 0x6002, 0x2009]) == [
        (9, 7, 4098_000, 0)
    ]
    assert tested.tally['undecodable'] == 2


def test_evt3_small_steps_back_are_no_wraps():
    tested = Fast(Evt3Words)
    times = [40_960 + 7, 40_960 - 4096 + 7, 40_960 + 9]
    assert times_us(tested.decode(one_event_at(*times))) == [times[0], times[2]]
    assert tested.tally['time_steps_back'] == tested.tally['late'] == 1


def test_evt3_small_step_back_over_the_wrap():
    times = [WRAP_US - 2, WRAP_US + 1, WRAP_US - 1, WRAP_US + 4]
    assert times_us(Fast(Evt3Words).decode(one_event_at(*times))) == [
        times[0], times[1], times[3],
    ]  # fmt: skip


@pytest.mark.parametrize('wrong_us', [4096 * 11, 4096 * 64, 4096 * 2047, 4096 * 4085])
def test_evt3_single_wrong_time_high_costs_the_events_under_it(wrong_us):
    tested = Fast(Evt3Words)
    times = times_us(tested.decode(one_event_at(5, wrong_us + 6, 7, 8)))
    assert [t for t in times if t != 6] == [
        5,
        7,
        8,
    ]  # of a step back the TIME_HIGH is not believed
    assert tested.tally['time_jumps'] == 0


def test_evt3_time_that_begins_anew_gives_the_new_events_alone():
    tested = Fast(Evt3Words)
    assert times_us(tested.decode(one_event_at(3_000_000))) == [3_000_000]
    words = one_event_at(3_000_001, 5, 6)
    assert times_us(tested.decode(words)) == [6]
    assert tested.tally['time_jumps'] == 1
    assert tested.tally['late'] == 2


def test_evt3_after_a_loss():
    tested = Fast(Evt3Words)
    tested.decode([*evt3_time(WRAP_US - 5), 7, 0x3009, 0x5001])
    tested.words.skip()
    assert tested.words.end_ns is None
    # No time, no row and no place for a mask, until they come again; the wrap is still seen.
    words = [0x2009, 0x5001, *evt3_time(WRAP_US + 300_000), 0x2009, 0x5001, 8, 0x2009]
    assert tested.decode(words) == [(9, 8, (WRAP_US + 300_000) * 1000, 0)]
    assert tested.tally['undecodable'] == 4


# The time of the others


def test_libcaer_rolls_over_inside_a_packet():
    words = [libcaer_word(1, 1, 2**31 - 1, 0), libcaer_word(1, 1, 3, 0)]
    times = [event[2] for event in Fast(LibcaerWords).decode(words)]
    assert times == [1000 * (2**31 - 1), 1000 * (2**31 + 3)]


def test_libcaer_steps_back_a_little():
    words = [libcaer_word(1, 1, 9, 0), libcaer_word(1, 1, 4, 0)]
    assert [event[2] for event in Fast(LibcaerWords).decode(words)] == [9000, 4000]


def test_invalid_and_outside_events_are_left_out():
    words = [
        libcaer_word(5, 5, 1, 1, valid=False),
        libcaer_word(346, 5, 2, 1),
        libcaer_word(5, 260, 3, 1),
        libcaer_word(5, 6, 4, 1),
    ]
    tested = Fast(LibcaerWords)
    assert tested.decode(words) == [(5, 6, 4000, 1)]
    assert tested.tally['out_of_range'] == 2


def test_evt3_counts_what_every_word_can_hold():
    bits = {0x4: 0xFFF, 0x5: 0xFF}  # of vectors; an address of a column holds one
    for kind in range(16):
        words = (kind << 12 | np.arange(1 << 12)).astype(np.uint16)
        held = sum((word & bits.get(kind, 0)).bit_count() for word in words.tolist())
        held += len(words) * (kind == 0x2)
        assert Evt3Words().count(words) == held


def test_evt2_wraps():
    events = [(3, 4, 2**34 - 10, 1), (3, 4, 2**34 + 10, 0)]
    assert Fast(Evt2Words).decode(evt2_words(events)) == nanoseconds(events)
