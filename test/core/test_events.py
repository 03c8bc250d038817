from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
import messages
from messages import FLOAT32, FLOAT64, UINT8, UINT16, UINT32
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import decode_event_cloud, decode_event_packet, Events
import numpy as np
import pytest

BASE_NS = 1_700_000_000_000_000_000
EVENTS = st.lists(
    st.tuples(st.integers(0, 345), st.integers(0, 259), st.integers(0, 2**31 - 1), st.booleans()),
    max_size=20,
).map(lambda events: sorted(events, key=lambda event: event[2]))


def packet(words, encoding, **changes):
    message = SimpleNamespace(
        header=messages.header(BASE_NS), height=260, width=346, seq=0, time_base=BASE_NS,
        encoding=encoding, is_bigendian=False, events=np.array(words, '<u8').tobytes(),
    )  # fmt: skip
    vars(message).update(changes)
    return message


def libcaer_word(x, y, t_us, polarity, valid=True):
    return valid | polarity << 1 | y << 2 | x << 17 | (t_us & 0xFFFFFFFF) << 32


def as_tuples(events):
    return list(zip(events.x, events.y, events.t_ns, events.polarity, strict=True))


@given(EVENTS)
def test_libcaer(events):
    words = [libcaer_word(*event) for event in events]
    decoded = decode_event_packet(packet(words, 'libcaer'), 'events')
    assert as_tuples(decoded) == [(x, y, BASE_NS + 1000 * t, p) for x, y, t, p in events]


@given(EVENTS)
def test_mono(events):
    words = [t | x << 32 | y << 48 | p << 63 for x, y, t, p in events]
    decoded = decode_event_packet(packet(words, 'mono'), 'events')
    assert as_tuples(decoded) == [(x, y, BASE_NS + t, p) for x, y, t, p in events]


def test_libcaer_rolls_over_inside_a_packet():
    words = [libcaer_word(1, 1, 2**31 - 1, 0), libcaer_word(1, 1, 3, 0)]
    decoded = decode_event_packet(packet(words, 'libcaer'), 'events')
    assert list(decoded.t_ns - BASE_NS) == [1000 * (2**31 - 1), 1000 * (2**31 + 3)]


def test_invalid_and_outside_events_are_dropped():
    words = [
        libcaer_word(5, 5, 1, 1, valid=False),
        libcaer_word(346, 5, 2, 1),
        libcaer_word(5, 260, 3, 1),
        libcaer_word(5, 6, 4, 1),
    ]
    decoded = decode_event_packet(packet(words, 'libcaer'), 'events')
    assert as_tuples(decoded) == [(5, 6, BASE_NS + 4000, 1)]


def test_times_out_of_order_are_sorted():
    words = [libcaer_word(1, 1, 9, 0), libcaer_word(2, 1, 4, 0)]
    decoded = decode_event_packet(packet(words, 'libcaer'), 'events')
    assert list(decoded.x) == [2, 1]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'encoding': 'evt9'}, "events: expected encoding libcaer or mono, got 'evt9'"),
        ({'is_bigendian': True}, 'expected little-endian'),
        ({'events': b'123'}, 'expected whole events of 8 bytes, got 3 bytes'),
    ],
)
def test_refuses_packets(changes, message):
    with pytest.raises(InputError, match=message):
        decode_event_packet(packet([], **({'encoding': 'libcaer'} | changes)), 'events')


def event_cloud(t, polarity_name='p'):
    kind = {np.dtype('u4'): UINT32, np.dtype('f8'): FLOAT64, np.dtype('f4'): FLOAT32}[t.dtype]
    columns = {
        'x': (UINT16, 0, [3, 4]),
        'y': (UINT16, 2, [5, 6]),
        't': (kind, 4, t),
        polarity_name: (UINT8, 12, [0, 1]),
    }
    return messages.cloud(columns, BASE_NS)


@pytest.mark.parametrize('polarity_name', ['p', 'pol', 'polarity'])
def test_cloud_with_nanoseconds_after_the_stamp(polarity_name):
    events = decode_event_cloud(event_cloud(np.array([10, 20], 'u4'), polarity_name), 'events')
    assert as_tuples(events) == [(3, 5, BASE_NS + 10, 0), (4, 6, BASE_NS + 20, 1)]


def test_cloud_with_seconds():
    events = decode_event_cloud(event_cloud(np.array([1.5, 2.25])), 'events')
    assert list(events.t_ns) == [1_500_000_000, 2_250_000_000]


def test_cloud_with_the_bits_of_an_integer_as_float():
    nanoseconds = np.array([12_000_000_123, 12_000_000_456])
    events = decode_event_cloud(event_cloud(nanoseconds.view(np.float64)), 'events')
    assert list(events.t_ns) == list(nanoseconds)


def test_refuses_clouds():
    with pytest.raises(InputError, match='expected t as uint32'):
        decode_event_cloud(event_cloud(np.array([1, 2], 'f4')), 'events')
    with pytest.raises(InputError, match='expected a field p, pol or polarity, got x, y, t, sign'):
        decode_event_cloud(event_cloud(np.array([1, 2], 'u4'), 'sign'), 'events')


@given(st.lists(st.integers(0, 30)).map(sorted), st.integers(-5, 35), st.integers(-5, 35))
def test_window_is_open_on_the_left_and_closed_on_the_right(times, after, until):
    column = np.zeros(len(times), np.uint16)
    events = Events(column, column, np.array(times, np.int64), column.astype(np.uint8))
    assert list(events.window(after, until).t_ns) == [t for t in times if after < t <= until]


def test_concatenating_nothing_gives_no_events():
    assert len(Events.concatenate([])) == 0
