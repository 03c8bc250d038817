"""Faults as the command line gives them: read strictly, and written back the same."""

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.faults.fault import ALWAYS, Window
from mle_sam_ros.replay.faults.parse import KINDS, parse_fault
from mle_sam_ros.replay.plain_name import plain_name
import pytest

EXAMPLES = [
    'lidar:drop=1@4-6', 'odometry:delay=0.1', 'event:jitter=0.02@0-1.5', 'lidar_2:rate=5',
    'depth:freeze=0.5', 'camera:stamp=-0.05', 'event:stamp=0.05@1-2', 'lidar:rotate=1.5',
    'lidar:rotate=-1.5:z', 'lidar:shift=10:x@2-3', 'thermal:noise=uniform', 'camera:exposure=3',
    'event:burst=20000000', 'lidar:beams=0.5', 'tf:drop=0.1',
]  # fmt: skip


@pytest.mark.parametrize('text', EXAMPLES)
def test_a_fault_is_written_as_it_is_read(text):
    fault = parse_fault(text)
    assert str(fault) == text
    assert parse_fault(str(fault)) == fault


def test_numbers_may_be_written_otherwise():
    assert parse_fault('event:burst=20e6') == parse_fault('event:burst=2e+07')
    assert parse_fault('camera:exposure=+3') == parse_fault('camera:exposure=3.0')
    assert parse_fault('lidar:drop=1@4.0-6.00') == parse_fault('lidar:drop=1@4-6')


def test_without_a_window_it_is_always():
    assert parse_fault('lidar:drop=1').window == ALWAYS
    assert parse_fault('lidar:drop=1@4-6').window == Window(4, 6)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('lidar', 'expected STREAM:KIND=VALUE'),
        ('lidar:drop', 'expected STREAM:KIND=VALUE'),
        ('lidar:drop=1@4', 'in seconds'),
        ('lidar:drop=1@-1-6', 'in seconds'),
        ('lidar:drop=1@6-4', 'window FROM-TO.*got 6-4'),
        ('lidar:drop=1@4-4', 'window'),
        ('lidar:lose=1', "expected one of drop, delay, .*, got 'lose'"),
        ('lidar:drop=often', "expected drop to be a probability, got 'often'"),
        ('lidar:drop=nan', 'a probability'),
        ('lidar:delay=inf', 'seconds'),
        ('lidar:drop=1.5', '0 to 1, got 1.5'),
        ('lidar:delay=-0.1', '0 to 10, got -0.1'),
        ('lidar:rate=0', '0.01 to'),
        ('camera:noise=pink', "gaussian or uniform, got 'pink'"),
        ('camera:rotate=1', "rotate of event, lidar.*got 'camera'"),
        ('lidar:rotate=1:w', "x, y or z, got 'w'"),
        ('lidar:rotate=1:', 'x, y or z'),
        ('lidar:rotate=z', 'degrees'),
        ('event:shift=1', "shift of lidar.*got 'event'"),
        ('lidar:burst=1e6', "burst of event, got 'lidar'"),
        ('event:beams=0.5', "beams of lidar.*got 'event'"),
        ('lidar:exposure=1', "exposure of camera, got 'lidar'"),
        ('event:freeze=1', 'freeze of camera'),
        ('tf:stamp=1', 'stamp of a sensor'),
        ('odometry:noise=uniform', 'noise of a modality'),
        ('camera:stamp=0.05@1-2', 'whole drive'),
    ],
)
def test_what_is_no_fault_is_told(text, message):
    with pytest.raises(InputError, match=message):
        parse_fault(text)


@given(st.text(max_size=30) | st.from_regex(r'\w+:\w+=\w+(@\w+-\w+)?', fullmatch=True))
def test_any_text_is_a_fault_or_an_input_error(text):
    try:
        fault = parse_fault(text)
    except InputError:
        return
    assert parse_fault(str(fault)) == fault


@given(st.sampled_from([kind for kind in KINDS if kind != 'noise']), st.floats(-200, 200))
def test_every_number_is_read_back(kind, value):
    stream = {'exposure': 'camera', 'burst': 'event'}.get(kind, 'lidar')
    try:
        fault = parse_fault(f'{stream}:{kind}={value!r}')
    except InputError:
        return
    assert float(fault.value_text) == value


WORDS = {
    'lidar:drop=1@4-6': 'all lidar messages lost',
    'lidar_2:drop=0.3': '30 % of the lidar 2 messages lost',
    'lidar:delay=0.07': 'lidar messages 70 ms late',
    'camera:jitter=0.02': 'camera messages up to 20 ms late, at random',
    'lidar:rate=5': 'lidar thinned to 5 Hz',
    'camera:freeze=1': 'all camera messages repeat the one before',
    'camera:stamp=-0.05': 'camera clock off by -50 ms',
    'event:rotate=1.5:z': 'event calibration off by +1.5° (z axis)',
    'lidar:shift=-10': 'lidar calibration off by -10 cm',
    'lidar:noise=gaussian': 'gaussian noise on lidar',
    'camera:exposure=3': 'camera exposure off by +3 stops',
    'event:burst=1000000': '1,000,000 more events per second',
    'lidar:beams=0.5': '50 % of the lidar beams lost',
}


def test_every_kind_is_told_in_words():
    assert {text: parse_fault(text).words for text in WORDS} == WORDS
    assert {parse_fault(text).kind for text in WORDS} == set(KINDS)


def test_names_of_metrics_are_told_in_words():
    assert plain_name('lidar:drop=1') == 'all lidar messages lost'
    assert plain_name('over_exposure') == 'over exposure'
    assert plain_name('site:north_gate') == 'site:north gate'  # somebody's own condition
