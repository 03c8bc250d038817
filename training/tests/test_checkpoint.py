from dataclasses import replace
import resource

from mle_sam.checkpoint import load_model, read_checkpoint, save_checkpoint
from mle_sam.models.mle_sam import MleSam
from mle_sam.train import Trainer
from mle_sam.workers import Workers
from mle_sam_ros.core.errors import InputError
import pytest
import torch


@pytest.fixture
def trainer(recipe) -> Trainer:
    return Trainer(recipe, 'trunk', MleSam(recipe.network_of('trunk')), 6, Workers('cpu'))


def test_comes_back_as_it_was(trainer, tmp_path):
    path = tmp_path / 'run' / 'trunk.safetensors'
    progress = {'step': 3, 'scaler': {'scale': 8.0, '_growth_tracker': 2}, 'best_miou': 1 / 3}
    saved = replace(trainer.checkpoint(), **progress)
    save_checkpoint(saved, path)
    back = read_checkpoint(path)
    assert back.recipe == trainer.recipe
    assert (back.stage, back.step, back.num_steps) == ('trunk', 3, 6)
    assert (back.scaler, back.best_miou) == (saved.scaler, saved.best_miou)
    assert not back.is_finished
    assert replace(back, step=6).is_finished
    model = load_model(back)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_an_interrupted_write_leaves_the_old_file(trainer, tmp_path):
    path = tmp_path / 'trunk.safetensors'
    save_checkpoint(trainer.checkpoint(), path)
    before = path.read_bytes()
    trainer.step = 5
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))  # as on a full disk
    try:
        with pytest.raises(InputError, match=r'trunk\.safetensors: expected space'):
            save_checkpoint(trainer.checkpoint(), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    save_checkpoint(trainer.checkpoint(), path)
    assert read_checkpoint(path).step == 5


@pytest.mark.parametrize('content', [None, b'', b'not a checkpoint', b'\x08' + bytes(30)])
def test_damaged_or_missing(tmp_path, content):
    path = tmp_path / 'trunk.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r'trunk\.safetensors: expected a checkpoint'):
        read_checkpoint(path)
