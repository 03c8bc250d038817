from mle_sam_ros.core.errors import InputError
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.scenario import Episode, parse_failure, parse_outage, Scenario
import pytest

S = 1_000_000_000


def test_episode_without_times_lasts_all_the_drive():
    assert parse_outage('lidar').covers(0)
    assert parse_failure('over_exposure').covers(3600 * S)


def test_episode_begins_at_its_first_time_and_ends_before_its_last():
    episode = parse_outage('event:4:6')
    assert episode == Episode('event', 4.0, 6.0)
    assert episode.covers(4 * S)
    assert episode.covers(6 * S - 1)
    assert not episode.covers(4 * S - 1)
    assert not episode.covers(6 * S)


@pytest.mark.parametrize(
    ('parse', 'text', 'says'),
    [
        (parse_outage, 'radar:1:2', r'one of camera, event, lidar, got .radar.'),
        (parse_failure, 'fire', r'one of motion_blur, .*, got .fire.'),
        (parse_outage, 'lidar:4', r'lidar:FROM:TO in seconds, got .lidar:4.'),
        (parse_outage, 'lidar:4:six', r'lidar:FROM:TO in seconds'),
        (parse_outage, 'lidar:6:4', r'0 <= from < to in seconds, got 6.0 to 4.0'),
        (parse_outage, 'lidar:nan:4', r'0 <= from < to'),
        (parse_failure, 'lidar_jitter:-1:4', r'0 <= from < to'),
    ],
)
def test_wrong_episode_is_refused_with_what_is_valid(parse, text, says):
    with pytest.raises(InputError, match=says):
        parse(text)


@pytest.mark.parametrize(
    ('arguments', 'says'),
    [
        ({'condition': 'snow'}, 'day, dusk, night, fog, rain'),
        ({'seconds': 0}, 'seconds: expected 0.1 to 3600, got 0'),
        ({'seconds': float('nan')}, 'seconds: expected'),
        ({'seed': -1}, 'seed: expected 0 or more'),
        (
            {'failures': (Episode('motion_blur', 1, 3), Episode('over_exposure', 2, 4))},
            'one at a time for the camera, got motion_blur and over_exposure',
        ),
    ],
)
def test_impossible_scenario_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        Scenario(**{'seed': 1, 'seconds': 10.0, **arguments})


def test_failures_befall_their_own_sensor_in_their_own_time():
    scenario = Scenario(
        1, 10.0, failures=(parse_failure('over_exposure:3:5'), parse_failure('lidar_jitter:4:6'))
    )
    assert scenario.failure('camera', 4 * S).name == 'over_exposure'
    assert scenario.failure('lidar', 4 * S).name == 'lidar_jitter'
    assert scenario.failure('event', 4 * S) == scenario.failure('camera', 5 * S) == Failure()
    assert scenario.failure('camera', 3 * S) == scenario.failure('camera', 5 * S - 1)


def test_an_added_failure_leaves_the_light_as_it_was():
    plain = Scenario(4, 10.0, 'fog')
    assert plain.light() == Scenario(4, 10.0, 'fog', (parse_failure('motion_blur'),)).light()
    assert plain.light() != Scenario(5, 10.0, 'fog').light()


@pytest.mark.parametrize(
    ('failures', 'expected'),
    [
        ((), {'condition': 'fog', 'failure': 'none'}),
        (('lidar_jitter',), {'condition': 'fog', 'failure': 'lidar_jitter'}),
        (('lidar_jitter:0:2',), {'condition': 'fog', 'failure': 'lidar_jitter'}),
        (('lidar_jitter:0:1.9',), {'condition': 'fog', 'failures': 'lidar_jitter:0:1.9'}),
        (('lidar_jitter:0.1:2',), {'condition': 'fog', 'failures': 'lidar_jitter:0.1:2'}),
        (
            ('lidar_jitter', 'over_exposure:1:2'),
            {'condition': 'fog', 'failures': 'lidar_jitter:0:inf over_exposure:1:2'},
        ),
    ],
)
def test_what_goes_wrong_is_noted(failures, expected):
    scenario = Scenario(1, 2.0, 'fog', tuple(parse_failure(text) for text in failures))
    assert scenario.custom_data() == expected


def test_outages_are_noted():
    outages = (parse_outage('lidar:4:6.5'), parse_outage('camera'))
    noted = Scenario(1, 10.0, 'fog', outages=outages).custom_data()
    assert noted == {'condition': 'fog', 'failure': 'none', 'outages': 'lidar:4:6.5 camera:0:inf'}
    assert [parse_outage(text) for text in noted['outages'].split()] == [*outages]
