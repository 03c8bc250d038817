import json

import cv2
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.cli import main
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.extrinsics.check_calibration import (
    check_calibration,
    CheckSettings,
    describe_scores,
)
from mle_sam_ros.replay.extrinsics.moments import read_moments
from mle_sam_ros.replay.extrinsics.score import ExtrinsicScore, Shift, ShiftScore
import numpy as np
import pytest
from tiny_drive import START, write_drive

MS = 1_000_000


@pytest.fixture(scope='module')
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap')


def test_moments_are_spread_and_close_to_their_sweeps(drive):
    with open_bag(drive) as bag:
        moments = read_moments(bag, find_topics(bag), 5)
    stamps = [moment.stamp_ns - START for moment in moments]
    assert len(stamps) == 5
    assert stamps == sorted(stamps)
    assert stamps[-1] - stamps[0] > 600 * MS
    for moment in moments:
        assert moment.image.shape == (80, 160, 3)
        assert moment.cloud is not None
        assert len(moment.events)
        assert np.abs(moment.events.t_ns - moment.stamp_ns).max() <= 10 * MS


def test_writes_a_sheet_for_each_sensor(drive, tmp_path, capsys):
    out = tmp_path / 'out'
    assert main(['check-calibration', str(drive), '--out', str(out)]) == 0
    for name in ('lidar.png', 'event.png'):
        assert cv2.imread(str(out / name)).shape[1] > 1900
    assert isinstance(json.loads((out / 'scores.json').read_text()), dict)
    assert 'look at' in capsys.readouterr().out
    assert main(['check-calibration', str(drive), '--out', str(out)]) == 0  # replaces its own


@pytest.mark.parametrize(
    ('gain', 'code', 'words'),
    [
        (0.0, 0, 'verdict: lidar fits'),
        (0.05, 0, 'verdict: lidar is unclear: yaw +0.50 deg would score 6 % better'),
        (0.3, 1, 'verdict: lidar is wrong, by about yaw +0.50 deg'),
    ],
)
def test_the_verdict_is_the_last_line_and_the_exit_code(
    drive, tmp_path, capsys, monkeypatch, gain, code, words
):
    score = ExtrinsicScore(0.8, 20, (ShiftScore(Shift('yaw', 0.5), gain, 0.01, 1.0),))
    monkeypatch.setattr(
        'mle_sam_ros.replay.extrinsics.check_calibration._score',
        lambda name, *_: score if name == 'lidar' else None,
    )
    out = tmp_path / 'out'
    assert main(['check-calibration', str(drive), '--out', str(out)]) == code
    assert capsys.readouterr().out.splitlines()[-1].startswith(words)
    assert json.loads((out / 'scores.json').read_text())['lidar']['verdict'] in words


def test_a_recording_without_lidar_is_checked_for_events(tmp_path):
    drive = write_drive(tmp_path / 'drive.mcap', without=('/lidar/points',))
    scores = check_calibration(CheckSettings(drive), tmp_path / 'out')
    assert not (tmp_path / 'out' / 'lidar.png').exists()
    assert (tmp_path / 'out' / 'event.png').exists()
    assert 'lidar' in '\n'.join(describe_scores(scores, tmp_path / 'out'))


@pytest.mark.parametrize(
    ('without', 'message'),
    [
        (('/camera/image',), 'expected a camera topic'),
        (('/tf_static',), 'lidar without camera_from.lidar; event without camera_from.event'),
        (('/camera/camera_info',), 'lidar without intrinsics of camera; event without'),
        (('/lidar/points', '/event_camera/events'), 'got neither'),
    ],
)
def test_says_what_is_missing(tmp_path, without, message):
    drive = write_drive(tmp_path / 'drive.mcap', num_frames=4, without=without)
    with pytest.raises(InputError, match=message):
        check_calibration(CheckSettings(drive), tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_calibration_of_another_size_is_refused(drive, tmp_path, capsys):
    with open_bag(drive) as bag:
        calibration = calibration_of(bag, find_topics(bag))
    calibration.cameras['camera'] = calibration.cameras['camera'].scaled_to((40, 80))
    write_calibration(tmp_path / 'rig.yaml', calibration)
    command = ['check-calibration', drive, '--calibration', tmp_path / 'rig.yaml']
    assert main([*map(str, command), '--out', str(tmp_path / 'out')]) == 2
    assert 'expected images of 80 x 40' in capsys.readouterr().err
