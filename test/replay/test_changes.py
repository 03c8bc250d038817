"""The log of a drive tells what is new, once."""

from dataclasses import dataclass, field

from mle_sam_ros.replay.score.conditions import Conditions, Span
from mle_sam_ros.replay.viewing.changes import Change, Changes

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
NAMES = ('camera', 'event', 'lidar')


@dataclass(frozen=True)
class Instant:
    """What `Changes` reads of a prediction."""

    stamp_ns: int
    present: frozenset[str] = frozenset(NAMES)
    faults: dict[str, str] = field(default_factory=dict)


def at(seconds, absent=(), **faults) -> Instant:
    return Instant(START + int(seconds * SECOND), frozenset(NAMES) - set(absent), faults)


def told(*instants, spans=()) -> list[list[Change]]:
    changes = Changes(NAMES, Conditions(spans, START))
    return [list(changes.since(instant)) for instant in instants]


def test_sensors_that_fall_away_and_come_back():
    assert told(at(0, ['lidar', 'camera']), at(1, ['lidar']), at(2, ['lidar']), at(3), at(4)) == [
        [Change(True, 'camera absent'), Change(True, 'lidar absent')],
        [Change(False, 'camera back')],
        [],
        [Change(False, 'lidar back')],
        [],
    ]


def test_faults_of_absent_and_of_present_sensors():
    lost, jittery = 'lidar: expected a calibration, got none', 'odometry: too old'
    assert told(
        at(0, ['lidar'], lidar=lost), at(1, odometry=jittery), at(2, odometry=jittery), at(3)
    ) == [
        [Change(True, f'lidar absent: {lost}')],
        [Change(False, 'lidar back'), Change(True, jittery)],
        [],
        [],
    ]


def test_conditions_that_begin_and_end():
    spans = [Span('condition', 'night'), Span('failure', 'over_exposure', 1.0, 2.0)]
    assert told(at(0.5), at(1.5), at(2.5), spans=spans) == [
        [Change(False, 'night begins')],
        [Change(False, 'over_exposure begins')],
        [Change(False, 'over_exposure is over')],
    ]
