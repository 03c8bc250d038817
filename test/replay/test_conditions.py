"""What held when is read from a recording's notes, and told of each frame."""

import math

from mle_sam_ros.replay.score.conditions import Conditions, noted_spans, Span
from mle_sam_ros.simulation.scenario import parse_failure, parse_outage, Scenario
import pytest

SECOND = 1_000_000_000


def test_a_frame_is_told_all_that_holds():
    spans = [
        Span('condition', 'night'),
        Span('failure', 'motion_blur', 1.0, 2.0),
        Span('injected', 'lidar:drop=1', 1.5),
    ]
    conditions = Conditions(spans, start_ns=100 * SECOND)
    assert conditions.names == ('lidar:drop=1', 'motion_blur', 'night')
    assert conditions.at(100 * SECOND) == ('night',)
    assert conditions.at(101 * SECOND) == ('motion_blur', 'night')
    assert conditions.at(102 * SECOND - 1) == ('lidar:drop=1', 'motion_blur', 'night')
    assert conditions.at(102 * SECOND) == ('lidar:drop=1', 'night')


def test_what_is_said_twice_counts_once():
    conditions = Conditions([Span('condition', 'fog'), Span('condition', 'fog', 0.0, 5.0)])
    assert conditions.names == conditions.at(SECOND) == ('fog',)


@pytest.mark.parametrize(
    ('noted', 'expected'),
    [
        ({}, ()),
        ({'condition': 'rain', 'failure': 'none'}, (Span('condition', 'rain'),)),
        ({'condition': '', 'camera': 'left'}, ()),
        (
            {'condition': 'fog', 'failure': 'motion_blur'},
            (Span('condition', 'fog'), Span('failure', 'motion_blur')),
        ),
        (
            {'failures': 'lidar_jitter:0.5:2 over_exposure:0:inf', 'outages': 'lidar:4:inf'},
            (
                Span('failure', 'lidar_jitter', 0.5, 2.0),
                Span('failure', 'over_exposure'),
                Span('outage', 'lidar_outage', 4.0, math.inf),
            ),
        ),
        ({'failures': 'The left camera failed at 12:30:11!', 'outages': '1:2:3 ::'}, ()),
    ],
)
def test_notes_are_read_where_they_are_ours(noted, expected):
    assert noted_spans(noted) == expected


def test_the_notes_of_simulated_drives_are_read_back():
    scenario = Scenario(
        3,
        9.0,
        'dusk',
        (parse_failure('over_exposure:3:5'), parse_failure('lidar_jitter')),
        (parse_outage('camera:6.5:8'),),
    )
    conditions = Conditions(noted_spans(scenario.custom_data()))
    assert conditions.at(0) == ('dusk', 'lidar_jitter')
    assert conditions.at(4 * SECOND) == ('dusk', 'lidar_jitter', 'over_exposure')
    assert conditions.at(7 * SECOND) == ('camera_outage', 'dusk', 'lidar_jitter')


def test_an_entry_of_the_timeline_ends_with_the_drive():
    entry = Span('failure', 'motion_blur', 1.25).to_mapping(seconds=4.0)
    assert entry == {'kind': 'failure', 'name': 'motion_blur', 'from_s': 1.25, 'to_s': 4.0}
