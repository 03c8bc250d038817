"""`mle-sam replay --fault …`: faults from the command line to the results."""

import json

from bundles import write_tiny_bundle
from mle_sam_ros.cli import main
from mle_sam_ros.replay.faults.parse import KINDS
import pytest
from tiny_drive import write_drive


@pytest.fixture(scope='module')
def arguments(tmp_path_factory):
    folder = tmp_path_factory.mktemp('cli')
    bundle = write_tiny_bundle(folder / 'tiny').directory
    drive = write_drive(folder / 'drive.mcap', num_frames=4)
    return ['replay', str(drive), '--bundle', str(bundle), '--threads', '1', '--out']


def test_faults_reach_the_results(arguments, tmp_path):
    faults = ['--fault', 'camera:exposure=+1@0-0.2', '--fault', 'event:burst=1e4']
    assert not main([*arguments, str(tmp_path / 'out'), *faults, '--fault-seed', '3'])
    given = json.loads((tmp_path / 'out' / 'metrics.json').read_text())['arguments']
    assert given['faults'] == ['camera:exposure=1@0-0.2', 'event:burst=10000']
    assert given['fault_seed'] == 3


def test_the_help_names_every_kind(capsys):
    with pytest.raises(SystemExit):
        main(['replay', '--help'])
    text = ' '.join(capsys.readouterr().out.split())
    named = text.partition('KIND is ')[2].partition(' (docs')[0]
    assert named.replace(' or ', ', ').split(', ') == list(KINDS)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('lidar:drop', 'STREAM:KIND=VALUE@FROM-TO'),
        ('lidar:lose=1', 'expected one of drop, delay'),
        ('lidar:beams=2', '0 to 1, got 2'),
        ('lidar_2:drop=1', 'expected one of the streams camera, event, lidar'),
    ],
)
def test_faults_that_cannot_be_are_one_line(arguments, tmp_path, capsys, text, words):
    assert main([*arguments, str(tmp_path / 'out'), '--fault', text]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith('mle-sam: fault')
    assert words in message
    assert not (tmp_path / 'out').exists()
