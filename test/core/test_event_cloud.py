import messages
from messages import FLOAT32, FLOAT64, UINT8, UINT16, UINT32
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_cloud import decode_event_cloud
import numpy as np
import pytest

BASE_NS = 1_700_000_000_000_000_000


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
def test_nanoseconds_after_the_stamp(polarity_name):
    events = decode_event_cloud(event_cloud(np.array([10, 20], 'u4'), polarity_name), 'events')
    assert list(zip(events.x, events.y, events.t_ns, events.polarity, strict=True)) == [
        (3, 5, BASE_NS + 10, 0),
        (4, 6, BASE_NS + 20, 1),
    ]


def test_seconds():
    events = decode_event_cloud(event_cloud(np.array([1.5, 2.25])), 'events')
    assert list(events.t_ns) == [1_500_000_000, 2_250_000_000]


def test_the_bits_of_an_integer_as_float():
    nanoseconds = np.array([12_000_000_123, 12_000_000_456])
    events = decode_event_cloud(event_cloud(nanoseconds.view(np.float64)), 'events')
    assert list(events.t_ns) == list(nanoseconds)


def test_times_out_of_order_are_sorted():
    events = decode_event_cloud(event_cloud(np.array([20, 10], 'u4')), 'events')
    assert list(events.x) == [4, 3]


@pytest.mark.parametrize(
    ('cloud', 'message'),
    [
        (event_cloud(np.array([1, 2], 'f4')), 'expected t as uint32'),
        (
            event_cloud(np.array([1, 2], 'u4'), 'sign'),
            'a field p, pol or polarity, got x, y, t, sign',
        ),
    ],
)
def test_refuses_clouds(cloud, message):
    with pytest.raises(InputError, match=message):
        decode_event_cloud(cloud, 'events')
