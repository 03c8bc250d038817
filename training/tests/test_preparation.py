from pathlib import Path

from mle_sam.cli import main
from mle_sam.datasets.config import DriveData
from mle_sam.datasets.drives import Drives
from mle_sam.datasets.preparation import prepare
from mle_sam_ros.core.errors import InputError
import pytest
from tiny_drive import write_drive

MUSES_RECIPE = Path(__file__).parents[1] / 'recipes' / 'muses_tiny.yaml'


def test_everything_is_there_afterwards_and_stays(network, tmp_path, capfd):
    bag = write_drive(tmp_path / 'a.mcap', 2, num_classes=3)
    data = DriveData(str(tmp_path / 'shards'), None, (9, 9), 1, (str(bag),))
    prepare(data, network, num_processes=2)
    shards = sorted(path.name for path in (tmp_path / 'shards').iterdir() if path.name[0] != '.')
    assert [shards[0][:2], *shards[1:]] == ['a_', 'seed_00009']
    assert '2/2' in capfd.readouterr().err
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / 'shards').rglob('*')}
    prepare(data, network, num_processes=1)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / 'shards').rglob('*')} == before
    assert (len(Drives(data, network, 'train')), len(Drives(data, network, 'val'))) == (2, 1)


def test_a_recording_that_cannot_be_used(network, tmp_path):
    data = DriveData(str(tmp_path), train_bags=(str(tmp_path / 'nowhere.mcap'),))
    with pytest.raises(InputError, match=r'nowhere\.mcap: expected a \.mcap'):
        prepare(data, network, num_processes=1)


def test_other_data_need_no_preparation(capsys):
    assert main(['prepare', '--recipe', str(MUSES_RECIPE)]) == 2
    assert 'expected data of kind drives, got muses' in capsys.readouterr().err
