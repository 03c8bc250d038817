"""`mle-sam info` and `mle-sam convert` from the command line."""

import json

from bundles import write_tiny_bundle
import cv2
from data_set_trees import write_kitti
from mle_sam_ros.cli import main
import numpy as np
import pytest
from tiny_drive import PERIOD, SIZE_HW, START, write_drive


@pytest.fixture
def drive(tmp_path):
    return write_drive(tmp_path / 'drive.mcap', num_frames=4)


def run(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def test_info(capsys, tmp_path, drive):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    assert run('info', drive, '--bundle', bundle) == 0
    assert 'runs on camera + event + lidar, 3 of 3 sensors' in capsys.readouterr().out
    assert run('info', drive, '--bundle', bundle, '--json') == 0
    content = json.loads(capsys.readouterr().out)
    assert [item['problem'] for item in content['fit']] == [None] * 3
    assert content['topics'][0]['timing']['messages'] == 1


def test_info_of_nothing_that_can_be_read(capsys, tmp_path, drive):
    drive.write_bytes(drive.read_bytes()[:-1000])
    assert run('info', drive) == 2
    output = capsys.readouterr()
    assert output.out == ''
    assert output.err.startswith('mle-sam: ')
    assert 'cut short' in output.err
    assert run('info', tmp_path / 'none.mcap') == 2


def test_replay_against_files_of_another_data_set(capsys, tmp_path, drive):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    names = json.loads((bundle / 'manifest.json').read_text())['classes']
    (tmp_path / 'labels').mkdir()
    stamps_ns = [START + (index + 2) * PERIOD for index in range(4)]
    for stamp_ns in stamps_ns[:3]:
        cv2.imwrite(str(tmp_path / 'labels' / f'{stamp_ns}.png'), np.full(SIZE_HW, 40, np.uint8))
    (tmp_path / 'classes.yaml').write_text(f'40: {names[0]["name"]}\n')
    command = ['replay', drive, '--bundle', bundle, '--out', tmp_path / 'out']
    command += ['--labels', tmp_path / 'labels', '--classes']
    assert run(*command, tmp_path / 'classes.yaml') == 0
    metrics = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert (metrics['frames_scored'], metrics['frames_without_mask']) == (3, 0)
    assert run(*command, tmp_path / 'none.yaml') == 2
    assert 'none.yaml: expected one of cityscapes' in capsys.readouterr().err


def test_convert(capsys, tmp_path):
    drive = write_kitti(tmp_path / 'raw')
    assert run('convert', 'kitti', drive, tmp_path / 'a.mcap') == 0
    assert str(tmp_path / 'a.mcap') in capsys.readouterr().out
    assert run('info', tmp_path / 'a.mcap') == 0
    assert 'camera_from.lidar: there' in capsys.readouterr().out
    (drive / 'image_02' / 'timestamps.txt').unlink()
    assert run('convert', 'kitti', drive, tmp_path / 'b.mcap') == 2
    assert 'timestamps.txt: expected a file' in capsys.readouterr().err
    assert not (tmp_path / 'b.mcap').exists()


def test_data_sets_are_those_of_the_converters():
    from mle_sam_ros.bags.convert.convert import DATA_SETS
    from mle_sam_ros.cli import recordings

    assert recordings._DATA_SETS == DATA_SETS
