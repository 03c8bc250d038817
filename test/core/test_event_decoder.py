from array import array

from event_formats import (
    evt2_words,
    evt3_words,
    libcaer_cmp_words,
    libcaer_word,
    mono_word,
    packet,
)
from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core import event_evt2, event_evt3, event_libcaer, event_mono
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import compile_kernels, EventDecoder
import numpy as np
import pytest

MS = 1_000_000
SECOND = 1000 * MS
START = 1_700_000_000 * SECOND
DTYPES = {'evt3': '<u2', 'evt2': '<u4', 'libcaer': '<u8', 'libcaer_cmp': '<u2', 'mono': '<u8'}
EVENTS = [(20 + x, 7, 1000 + 3 * x // 8, x % 3 == 0) for x in range(64)]


def words_of(encoding, events):
    events = [(x, y, t_us, int(polarity)) for x, y, t_us, polarity in events]
    if encoding == 'libcaer':
        return [libcaer_word(*event) for event in events]
    if encoding == 'mono':
        return [mono_word(x, y, 1000 * t_us, polarity) for x, y, t_us, polarity in events]
    encode = {'evt3': evt3_words, 'evt2': evt2_words, 'libcaer_cmp': libcaer_cmp_words}
    return encode[encoding](events)


def message(encoding, events=EVENTS, stamp_ns=START, **changes):
    absolute = {} if encoding.startswith('evt') else {'time_base': START - 10 * MS}
    words = words_of(encoding, events)
    return packet(words, encoding, DTYPES[encoding], stamp_ns, **(absolute | changes))


def evt3_at(t_us, stamp_ns, seq, events=((9, 7, 1),)):
    """A packet with one event at a time of the sensor."""
    return message('evt3', [(x, y, t_us, p) for x, y, p in events], stamp_ns, seq=seq)


def as_tuples(events):
    columns = events.x, events.y, events.t_ns, events.polarity
    return list(zip(*(column.tolist() for column in columns), strict=True))


@pytest.mark.parametrize('encoding', DTYPES)
def test_every_encoding_on_the_hosts_clock(encoding):
    decoder = EventDecoder()
    events = decoder.decode(message(encoding), 'events')
    # A sensor's own time is taken to begin so that the first event is as old as the stamp.
    base_ns = START - (1_000_000 if encoding.startswith('evt') else 10 * MS)
    assert as_tuples(events) == [(x, y, base_ns + 1000 * t, p) for x, y, t, p in EVENTS]
    assert decoder.end_ns == events.t_ns[-1]
    assert decoder.counters.events == len(EVENTS)


@pytest.mark.parametrize('encoding', DTYPES)
def test_bytes_of_any_kind_and_order_are_the_same_events(encoding):
    whole = message(encoding)
    expected = as_tuples(EventDecoder().decode(whole, 'events'))
    shifted = np.frombuffer(b'\0' + whole.events, np.uint8)[1:]
    swapped = np.frombuffer(whole.events, DTYPES[encoding]).byteswap().tobytes()
    others = [message(encoding) for _ in range(5)]
    others[0].events = array('B', whole.events)
    others[1].events = bytearray(whole.events)
    others[2].events = np.frombuffer(whole.events, np.uint8).copy()
    others[3].events = shifted
    others[4].events, others[4].is_bigendian = swapped, True
    for other in others:
        assert as_tuples(EventDecoder().decode(other, 'events')) == expected


def test_no_live_packet_waits_for_a_compiler():
    compile_kernels()
    kernels = (
        event_evt3._count, event_evt3._decode, event_evt2._decode, event_libcaer._decode_libcaer,
        event_libcaer._count_cmp, event_libcaer._decode_cmp, event_mono._decode,
    )  # fmt: skip
    compiled = [len(kernel.signatures) for kernel in kernels]
    for encoding in DTYPES:
        for kind in (bytes, bytearray, lambda data: array('B', data)):
            live = message(encoding)
            live.events = kind(live.events)
            EventDecoder().decode(live, 'events')
    assert [len(kernel.signatures) for kernel in kernels] == compiled


@pytest.mark.parametrize('encoding', DTYPES)
def test_no_events_still_tell_until_when(encoding):
    decoder = EventDecoder()
    assert len(decoder.decode(message(encoding, events=()), 'events')) == 0
    # Of a sensor with its own clock nothing is known without an event.
    assert decoder.end_ns == (None if encoding.startswith('evt') else START)


@given(
    encoding=st.sampled_from([*DTYPES]),
    packets=st.lists(st.tuples(st.binary(max_size=200), st.integers(0, 3)), max_size=5),
    size=st.sampled_from([(260, 346), (1, 1), (720, 1280), (2**32 - 1, 2**32 - 1)]),
    time_base=st.sampled_from([0, START, 2**62 - 1]),
    is_bigendian=st.booleans(),
)
def test_any_bytes_are_decoded_or_counted(encoding, packets, size, time_base, is_bigendian):
    decoder = EventDecoder()
    stamp_ns = START
    for seq, (data, step) in enumerate(packets):
        stamp_ns += step * MS
        events = decoder.decode(
            packet(
                [], encoding, 'u1', stamp_ns, events=data, seq=seq * (1 + step % 2),
                height=size[0], width=size[1], time_base=time_base, is_bigendian=is_bigendian,
            ),
            'events',
        )  # fmt: skip
        assert len(events) <= 6 * len(data)
        assert (np.diff(events.t_ns) >= 0).all()
        assert (events.x < size[1]).all()
        assert (events.y < size[0]).all()
    assert decoder.counters.packets == len(packets)


def test_a_packet_cut_inside_a_word():
    decoder = EventDecoder()
    whole = message('libcaer')
    whole.events = whole.events[:-3]
    assert len(decoder.decode(whole, 'events')) == len(EVENTS) - 1
    assert decoder.counters.truncated_packets == 1


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'encoding': 'evt9'}, "events: expected one of the encodings evt3, .*, got 'evt9'"),
        ({'width': 0}, 'expected the size of the sensor, got 0 x 260 pixels'),
        ({'time_base': 2**63}, 'expected a time_base in nanoseconds, got 9223372036854775808'),
        ({'width': 640}, 'expected the calibrated 346 x 260 pixels, got packets of 640 x 260'),
    ],
)
def test_refuses_packets(changes, expected):
    decoder = EventDecoder()
    wrong = packet([], **({'encoding': 'mono'} | changes), dtype='u1', stamp_ns=START)
    with pytest.raises(InputError, match=expected):
        decoder.decode(wrong, 'events', (260, 346))
    assert decoder.counters.rejected_packets == 1


def test_refuses_more_events_than_memory_is_for():
    masks = np.full(2_000_000, 0x4FFF)
    with pytest.raises(InputError, match='at most 16777216 events, got 24000000'):
        EventDecoder().decode(packet(masks, 'evt3', '<u2', START), 'events')


def test_a_lost_packet_costs_its_own_events():
    decoder = EventDecoder()
    decoder.decode(evt3_at(1000, START, 1), 'events')
    events = decoder.decode(evt3_at(3000, START + 2 * MS, 4), 'events')
    assert as_tuples(events) == [(9, 7, START + 2 * MS, 1)]
    assert decoder.counters.lost_packets == 2
    assert decoder.counters.restarts == 0


def test_packets_overtaken_or_sent_twice_are_left_out():
    decoder = EventDecoder()
    sent = [evt3_at(1000 * n, START + n * MS, n) for n in range(5)]
    counts = [len(decoder.decode(sent[n], 'events')) for n in (0, 1, 1, 3, 2, 4)]
    assert counts == [1, 1, 0, 1, 0, 1]
    assert decoder.counters.disordered_packets == 2
    assert decoder.end_ns == START + 4 * MS


def test_packets_without_numbers():
    decoder = EventDecoder()
    for n in range(5):
        assert len(decoder.decode(evt3_at(1000 * n, START + n * MS, 0), 'events')) == 1
    assert decoder.counters.lost_packets == decoder.counters.restarts == 0


@pytest.mark.parametrize(
    ('stamp_ns', 'seq'),
    [
        (START + 300 * MS, 0),  # the driver
        (START - 5 * SECOND, 90),  # the recording
        (START + 20 * SECOND, 101),  # a long silence
    ],
)
def test_restarts(stamp_ns, seq):
    decoder = EventDecoder()
    decoder.decode(evt3_at(9_000_000, START, 100), 'events')
    events = decoder.decode(evt3_at(500, stamp_ns, seq), 'events')
    assert list(events.t_ns) == [stamp_ns]
    assert decoder.end_ns == stamp_ns
    assert decoder.counters.restarts == 1


def test_times_follow_through_the_wrap():
    decoder = EventDecoder()
    for n in range(10_000):
        stamp_ns = START + n * 4 * MS
        events = decoder.decode(evt3_at((16_000_000 + n * 4000) % 2**24, stamp_ns, n), 'events')
        assert list(events.t_ns) == [stamp_ns]
    assert decoder.clock.jumps == decoder.counters.restarts == 0
    assert abs(decoder.clock.drift_ppm) < 0.1


def test_a_driver_that_changes_its_encoding():
    decoder = EventDecoder()
    decoder.decode(message('evt3', seq=5), 'events')
    events = decoder.decode(message('mono', stamp_ns=START + MS, seq=6), 'events')
    assert len(events) == len(EVENTS)
