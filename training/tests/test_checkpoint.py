from pathlib import Path

from mle_sam.checkpoint import (
    load_model,
    read_checkpoint,
    save_checkpoint,
    start_experts,
)
from mle_sam.model import MleSam
from mle_sam.train import Trainer
from mle_sam_ros.core.errors import InputError
import pytest
import torch


@pytest.fixture
def trainer(recipe) -> Trainer:
    return Trainer(recipe, 'trunk', None)


def test_comes_back_as_it_was(trainer, tmp_path):
    path = tmp_path / 'run' / 'trunk.safetensors'
    save_checkpoint(trainer.checkpoint(), path)
    back = read_checkpoint(path)
    assert back.recipe == trainer.recipe
    assert (back.stage, back.step) == ('trunk', 0)
    model = load_model(back)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_an_interrupted_write_leaves_the_old_file(trainer, tmp_path, monkeypatch):
    path = tmp_path / 'trunk.safetensors'
    save_checkpoint(trainer.checkpoint(), path)
    before = path.read_bytes()

    def half_write(tensors, partial, metadata):
        Path(partial).write_bytes(before[: len(before) // 2])
        raise OSError('no space left')

    monkeypatch.setattr('mle_sam.checkpoint.save_file', half_write)
    trainer.step = 5
    with pytest.raises(OSError, match='no space'):
        save_checkpoint(trainer.checkpoint(), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize('content', [None, b'', b'not a checkpoint', b'\x08' + bytes(30)])
def test_damaged_or_missing(tmp_path, content):
    path = tmp_path / 'trunk.safetensors'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r'trunk\.safetensors: expected a checkpoint'):
        read_checkpoint(path)


def test_experts_start_from_the_trunk(recipe, trainer):
    model = MleSam(recipe.network)
    trunk = trainer.model.state_dict()
    start_experts(model, trunk)
    state = model.state_dict()
    for name, value in trunk.items():
        if not name.startswith('fusion.'):
            assert torch.equal(state[name], value), name
    for name in recipe.network.modality_names:
        adapter = state[f'image_encoder.input_adapters.{name}.proj.weight']
        assert torch.equal(adapter, trunk['image_encoder.trunk.patch_embed.proj.weight'])


def test_something_else_is_no_trunk(recipe, trainer):
    trunk = trainer.model.state_dict()
    del trunk['image_encoder.neck.convs.0.conv.weight']
    with pytest.raises(InputError, match='1 missing and 0 unexpected'):
        start_experts(MleSam(recipe.network), trunk)
