"""Sums over recordings of real sensors that others published, as other decoders have them.

The recordings are those in the tests of event_camera_codecs and event_camera_py (ros-event-camera
on GitHub, Apache-2.0), side by side in the directory that MLE_SAM_EVENT_RECORDINGS names.
"""

import os
from pathlib import Path

from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.event_evt3 import Evt3Words
from mle_sam_ros.core.event_libcaer import LibcaerCmpWords, LibcaerWords
from mle_sam_ros.core.event_mono import MonoWords
from mle_sam_ros.core.event_tally import NAMES, TRIGGERS
from mle_sam_ros.core.events import Events
import numpy as np
import pytest

WORDS = {
    'evt3': Evt3Words,
    'libcaer': LibcaerWords,
    'libcaer_cmp': LibcaerCmpWords,
    'mono': MonoWords,
}


def packets(name):
    directory = os.environ.get('MLE_SAM_EVENT_RECORDINGS')
    if directory is None:
        pytest.skip('MLE_SAM_EVENT_RECORDINGS names no directory of recordings')
    path = Path(directory) / name
    if not path.exists():
        pytest.skip(f'{directory} holds no {name}')
    with open_bag(path) as bag:
        return [item.message for item in bag.messages(['/event_camera/events'])]


def decode(messages):
    """All events on the sensor's own clock, and the tally."""
    words, tally, parts = WORDS[messages[0].encoding](), np.zeros(len(NAMES), np.int64), []
    for message in messages:
        data = np.frombuffer(message.events.tobytes(), words.dtype)
        size_hw = message.height, message.width
        count = words.count(data)
        parts.append(words.decode(data, count, size_hw, message.time_base, tally))
    return Events.concatenate(parts), tally


def sums(events):
    """Times modulo 2^64."""
    total_ns = int(events.t_ns.astype(np.uint64).sum())
    return total_ns, int(events.x.sum()), int(events.y.sum()), int(events.polarity.sum())


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('test_data_evt3_trigger', (1222326831810000, 42078718, 31656267, 41439)),
        ('test_data_libcaer_rollover', (15762826572202229126, 111651612, 82801007, 181908)),
        ('test_data_libcaer_cmp', (14023744309793358664, 269115819, 200213171, 491741)),
        ('test_data_mono_cd', (4950000, 34450, 26450, 50)),
    ],
)
def test_sums_of_event_camera_codecs(name, expected):
    events, tally = decode(packets(name))
    assert sums(events) == expected
    tally[TRIGGERS] = 0
    assert not tally.any()


def test_a_window_of_event_camera_codecs():
    events, _ = decode(packets('test_data_evt3_trigger'))
    part = events.window(0, 14251634000 - 1)
    assert sums(part) == (28491115518000, 880131, 758865, 1006)
    assert part.t_ns[-1] == 14251630000


def test_counts_of_event_camera_py_evt3():
    events, tally = decode(packets('test_events_1'))
    assert np.bincount(events.polarity).tolist() == [218291, 125183]
    assert events.t_ns[0] == 7139845_000
    assert int(events.t_ns.sum()) // 1000 == 2851601611994
    assert tally[TRIGGERS] == 2078 + 2079


def test_counts_of_event_camera_py_libcaer_cmp():
    events, _ = decode(packets('test_events_2'))
    assert np.bincount(events.polarity).tolist() == [360223, 211043]
    assert int((events.t_ns - events.t_ns[0]).sum()) // 1000 == 335555680277


@pytest.mark.parametrize('name', ['test_data_evt3_trigger', 'test_events_1', 'test_events_2'])
def test_times_on_the_clock_of_the_host(name):
    decoder, last_ns = EventDecoder(), 0
    for message in packets(name):
        events = decoder.decode(message, 'events')
        if len(events):
            assert last_ns <= events.t_ns[0]
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            assert abs(stamp_ns - int(events.t_ns[0])) < 15_000_000
            last_ns = events.t_ns[-1]
    assert decoder.counters.lost_packets == decoder.counters.tally[1:].sum() == 0
