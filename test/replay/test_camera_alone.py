"""A model that takes the camera alone runs on a drive with more sensors, and says so."""

import json

from bundles import write_tiny_bundle
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.summary import summary
import pytest
from tiny_drive import write_drive

UNUSED = ['unused    event, lidar: the model takes camera only']


@pytest.fixture(scope='module')
def bundle(tmp_path_factory):
    directory = tmp_path_factory.mktemp('bundle') / 'tiny'
    return write_tiny_bundle(directory, modalities=('camera',), num_levels=1).directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    # It is silent for longer than the LiDAR and the events could stand in for it.
    silent = {'camera': range(4, 12)}
    return write_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap', 14, silent=silent)


@pytest.fixture(scope='module')
def results(drive, bundle, tmp_path_factory):
    """The directory, and the metrics."""
    out = tmp_path_factory.mktemp('results') / 'out'
    return out, replay(Settings(drive, bundle, threads=1, all_subsets=True), out)


def test_figures_are_of_the_camera(results):
    _, metrics = results
    assert metrics['modalities'] == ['camera']
    assert metrics['frames']['received'] == metrics['frames']['emitted'] == 6
    assert metrics['frames']['without_camera'] == 0  # no sensor stands in for it
    assert list(metrics['subsets']) == ['camera']
    assert metrics['subsets']['camera']['miou'] == metrics['miou']
    (level,) = metrics['router_weights'].values()
    assert (level['camera']['min'], level['camera']['max']) == (1, 1)


def test_other_sensors_change_nothing(results, bundle, tmp_path):
    _, metrics = results
    others = ('/event_camera/events', '/event_camera/camera_info', '/lidar/points')
    alone = write_drive(
        tmp_path / 'alone.mcap', 14, silent={'camera': range(4, 12)}, without=others
    )
    settings = Settings(alone, bundle, threads=1, all_subsets=True)
    again = replay(settings, tmp_path / 'out')
    for name in ('miou', 'iou', 'frames', 'subsets', 'router_weights', 'calibration'):
        assert again[name] == metrics[name], name
    assert 'unused' not in summary(again, tmp_path / 'out')
    assert 'The recording also has' not in (tmp_path / 'out' / 'report.html').read_text()


def test_terminal_and_report_say_what_is_not_used(results):
    out, metrics = results
    lines = summary(metrics, out).splitlines()
    assert [line for line in lines if line.startswith('unused')] == UNUSED
    page = (out / 'report.html').read_text()
    assert 'The recording also has event and lidar, which this model does not take.' in page
    # One sensor has all the trust; rows of one line compare with nothing.
    assert 'data-plot="trust"' not in page
    assert 'The rows are of different frames' not in page
    assert json.loads((out / 'metrics.json').read_text()) == metrics


@pytest.mark.parametrize(
    ('drop', 'message'),
    [('lidar', "expected some of camera, got 'lidar'"), ('camera', 'leave at least one sensor')],
)
def test_what_cannot_be_dropped(drive, bundle, tmp_path, drop, message):
    with pytest.raises(InputError, match=message):
        replay(Settings(drive, bundle, drop=[drop]), tmp_path / 'out')
