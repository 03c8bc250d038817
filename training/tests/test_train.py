from dataclasses import replace
from itertools import pairwise
import json
import os
import signal

from mle_sam.checkpoint import read_checkpoint
from mle_sam.datasets.batches import Batches
from mle_sam.train import learning_rate, train, Trainer
from mle_sam_ros.core.errors import InputError
import pytest
import torch


def tensors_of(path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(path)
    return {**checkpoint.model, **checkpoint.optimizer}


@pytest.fixture(scope='module')
def whole_run(recipe, shards, tmp_path_factory):
    directory = tmp_path_factory.mktemp('whole')
    train(recipe, 'trunk', shards, directory)
    train(recipe, 'experts', shards, directory)
    return directory


@pytest.mark.parametrize('stage', ['trunk', 'experts'])
def test_an_interrupted_run_ends_like_an_unbroken_one(
    recipe, shards, whole_run, tmp_path, monkeypatch, stage
):
    if stage == 'experts':
        (tmp_path / 'trunk.safetensors').write_bytes(
            (whole_run / 'trunk.safetensors').read_bytes()
        )
    step = Trainer.train_step

    def terminated_in_the_third(trainer, batch):
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(trainer, batch)

    monkeypatch.setattr(Trainer, 'train_step', terminated_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, stage, shards, tmp_path)
    path = tmp_path / f'{stage}.safetensors'
    assert read_checkpoint(path).step == 3
    train(recipe, stage, shards, tmp_path)
    resumed, unbroken = tensors_of(path), tensors_of(whole_run / path.name)
    assert resumed.keys() == unbroken.keys()
    for name, value in unbroken.items():
        assert torch.equal(resumed[name], value), name


def test_signals_are_as_before_afterwards(recipe, shards, whole_run):
    before = signal.getsignal(signal.SIGTERM)
    train(recipe, 'trunk', shards, whole_run)
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_frozen_stays_as_it_was(whole_run):
    trunk, experts = (
        read_checkpoint(whole_run / f'{s}.safetensors').model for s in ('trunk', 'experts')
    )
    for name, value in trunk.items():
        if name.startswith(('image_encoder.', 'sam_mask_decoder.transformer')):
            assert torch.equal(experts[name], value), name
    name = 'auxiliary_head.fuse.weight'
    assert not torch.equal(experts[name], trunk[name])


def test_log_has_a_line_per_checkpoint(whole_run):
    lines = [json.loads(line) for line in (whole_run / 'trunk.jsonl').read_text().splitlines()]
    assert [line['step'] for line in lines] == [4, 6]
    assert all(0 < line['loss'] < 10 for line in lines)


def test_experts_need_a_finished_trunk(recipe, shards, tmp_path):
    with pytest.raises(InputError, match=r'trunk\.safetensors'):
        train(recipe, 'experts', shards, tmp_path)


def test_another_network_is_refused(recipe, whole_run):
    other = replace(recipe, network=replace(recipe.network, auxiliary_width=16))
    with pytest.raises(InputError, match='expected stage trunk of the network of toy'):
        Trainer(other, 'trunk', None).restore(read_checkpoint(whole_run / 'trunk.safetensors'))


def test_a_few_steps_lower_the_loss(recipe, shards):
    stage = replace(recipe.trunk, steps=40, batch=4, learning_rate=2e-3, jitter=0.1)
    trainer = Trainer(replace(recipe, trunk=stage), 'trunk', None)
    batches = Batches(shards, ('camera',), stage, seed=1)
    losses = [trainer.train_step(batches.at(step)) for step in range(40)]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_learning_rate_rises_then_falls(recipe):
    stage = replace(recipe.trunk, steps=100, warmup_share=0.1)
    rates = [learning_rate(step, stage) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 * stage.learning_rate)
    assert max(rates) == pytest.approx(stage.learning_rate, rel=0.1)
    assert rates.index(max(rates)) in (9, 10)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.02 * stage.learning_rate
