"""`mle-sam info` and `mle-sam convert` from the command line."""

import json

from bundles import write_tiny_bundle
from mle_sam_ros.cli import main
import pytest
from tiny_drive import write_drive


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
