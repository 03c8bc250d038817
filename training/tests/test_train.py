from dataclasses import replace
from itertools import pairwise
import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

from mle_sam.checkpoint import read_checkpoint
from mle_sam.datasets.batches import as_item, Batch, collate
from mle_sam.models.mle_sam import MleSam
from mle_sam.recipe import read_recipe
from mle_sam.train import learning_rate, train, Trainer
from mle_sam.validate import validate
from mle_sam.workers import Workers
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import to_mapping
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
import torch
from toy import ToyDataset
import yaml

# A run in a process of its own. With WORLD_SIZE, as torchrun would start it but meeting in a file;
# there every worker writes its checkpoint.
SCRIPT = """
import os, sys, time
from pathlib import Path
import torch
from torch import distributed
import mle_sam.losses.ohem
from mle_sam import checkpoint, train
from mle_sam.recipe import read_recipe
from toy import ToyDataset

torch.set_num_threads(1)
directory, lacking = Path(sys.argv[1]), sys.argv[2:]
rank = os.environ.get('RANK')
if rank:
    mle_sam.losses.ohem.HARD = -1.0  # every pixel counts: the loss is a plain mean
    store = f'file://{directory / "store"}'
    distributed.init_process_group('gloo', init_method=store, rank=int(rank), world_size=2)

    def save_all(trainer, path):
        name = f'{path.stem}_{rank}.safetensors'
        checkpoint.save_checkpoint(trainer.checkpoint(), path.with_name(name))

    train._save = save_all
if 'NUM_SAVES' in os.environ:
    save, saved = train._save, []

    def save_some(trainer, path):
        save(trainer, path)
        saved.append(path)
        if len(saved) == int(os.environ['NUM_SAVES']):
            time.sleep(3600)  # however late it is killed, something is left to do

    train._save = save_some
recipe = read_recipe(directory / 'given.yaml')
train.train(recipe, recipe.stages[-1], ToyDataset(lacking=lacking), None, directory, 'cpu')
"""


def start(
    recipe, directory: Path, *lacking: str, rank: int | None = None, **environment: str
) -> subprocess.Popen:
    (directory / 'given.yaml').write_text(yaml.safe_dump(to_mapping(recipe)))
    ranks = {} if rank is None else {'WORLD_SIZE': '2', 'RANK': str(rank)}
    return subprocess.Popen(
        [sys.executable, '-c', SCRIPT, str(directory), *lacking],
        env={**os.environ, **ranks, **environment, 'PYTHONPATH': str(Path(__file__).parent)},
        cwd=Path(__file__).parents[1],
        stderr=subprocess.PIPE,
    )


def tensors_of(path: Path) -> dict[str, torch.Tensor]:
    checkpoint = read_checkpoint(path)
    return {**checkpoint.model, **checkpoint.optimizer}


def assert_same(path: Path, other: Path) -> None:
    one, two = tensors_of(path), tensors_of(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name]), name


def loss_curve(directory: Path, stage: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(directory / 'tensorboard' / stage)).Reload()
    return [(event.step, event.value) for event in events.Scalars('loss')]


def distance(one: dict, two: dict) -> float:
    return sum((one[n].double() - two[n].double()).square().sum() for n in one).sqrt().item()


def new_trainer(recipe, stage='experts', num_steps=6) -> Trainer:
    torch.manual_seed(recipe.seed)
    return Trainer(recipe, stage, MleSam(recipe.network_of(stage)), num_steps, Workers('cpu'))


def whole_batch(dataset, network, num_samples=4) -> Batch:
    return collate([as_item(dataset[index], network) for index in range(num_samples)])


@pytest.fixture(scope='module')
def whole_run(recipe, dataset, tmp_path_factory):
    directory = tmp_path_factory.mktemp('whole')
    train(recipe, 'trunk', dataset, None, directory, 'cpu')
    train(recipe, 'experts', dataset, None, directory, 'cpu')
    return directory


@pytest.fixture(scope='module')
def from_trunk(recipe, whole_run):
    return replace(recipe, trunk=None, pretrained=str(whole_run / 'trunk.safetensors'))


@pytest.mark.parametrize(
    ('stage', 'settings', 'num_loaders'),
    [
        ('trunk', {}, 0),
        ('experts', {}, 0),
        ('experts', {'accumulate': 2}, 2),
        ('experts', {'precision': 'bf16', 'batch': 2}, 0),
        ('experts', {'precision': 'fp16', 'batch': 2}, 0),
    ],
)
def test_an_interrupted_run_ends_like_an_unbroken_one(
    recipe, from_trunk, dataset, tmp_path, monkeypatch, stage, settings, num_loaders
):
    recipe = recipe if stage == 'trunk' else from_trunk
    recipe = replace(recipe, **{stage: replace(recipe.stage(stage), **settings)})
    unbroken, broken = tmp_path / 'unbroken', tmp_path / 'broken'
    train(recipe, stage, dataset, None, unbroken, 'cpu')
    step = Trainer.train_step

    def terminated_in_the_third(trainer, micro_batches):
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(trainer, micro_batches)

    monkeypatch.setattr(Trainer, 'train_step', terminated_in_the_third)
    path = broken / f'{stage}.safetensors'
    with pytest.raises(KeyboardInterrupt):
        train(recipe, stage, dataset, None, broken, 'cpu', num_loaders)
    assert read_checkpoint(path).step == 3
    # TensorBoard sorts its files by the second, and within it by a number as text: 10 before 9.
    time.sleep(1 - time.time() % 1)
    train(recipe, stage, dataset, None, broken, 'cpu', num_loaders)
    assert_same(path, unbroken / path.name)
    assert read_checkpoint(path).scaler == read_checkpoint(unbroken / path.name).scaler
    assert loss_curve(broken, stage) == loss_curve(unbroken, stage)
    assert [number for number, _ in loss_curve(broken, stage)] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_a_killed_run_goes_on_from_a_whole_checkpoint(from_trunk, tmp_path):
    recipe = replace(from_trunk, experts=replace(from_trunk.experts, steps=16, save_every=1))
    killed, whole = tmp_path / 'killed', tmp_path / 'whole'
    killed.mkdir()
    path, rng = killed / 'experts.safetensors', random.Random(0)
    reached = [0]
    while len(reached) < 3:
        process = start(recipe, killed, NUM_SAVES='4')
        before = path.stat().st_mtime_ns if path.exists() else 0
        while not path.exists() or path.stat().st_mtime_ns == before:
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        process.kill()
        process.communicate()
        reached.append(read_checkpoint(path).step)
    assert reached == sorted(set(reached))
    assert reached[-1] < 16
    _, errors = start(recipe, killed).communicate()
    assert read_checkpoint(path).is_finished, errors.decode()
    train(recipe, 'experts', ToyDataset(), None, whole, 'cpu')
    assert_same(path, whole / path.name)
    assert loss_curve(killed, 'experts') == loss_curve(whole, 'experts')


@pytest.mark.parametrize('accumulate', [2, 4])
def test_micro_batches_add_up_to_the_batch(recipe, dataset, monkeypatch, accumulate):
    monkeypatch.setattr('mle_sam.losses.ohem.HARD', -1.0)
    recipe = replace(recipe, network=replace(recipe.network, auxiliary_dropout=0.0))
    batch = whole_batch(dataset, recipe.network)
    size = 4 // accumulate
    parts = [
        Batch(
            {n: r[i : i + size] for n, r in batch.rasters.items()},
            *(t[i : i + size] for t in batch[1:]),
        )
        for i in range(0, 4, size)
    ]
    whole, divided = new_trainer(recipe), new_trainer(recipe)
    begin = {n: p.clone() for n, p in whole.model.state_dict().items()}
    for _ in range(3):
        assert divided.train_step(parts) == pytest.approx(whole.train_step([batch]), rel=1e-4)
    one, two = whole.model.state_dict(), divided.model.state_dict()
    assert distance(one, two) < 0.01 * distance(one, begin)


def test_two_workers_learn_what_one_does(from_trunk, tmp_path, monkeypatch):
    monkeypatch.setattr('mle_sam.losses.ohem.HARD', -1.0)
    network = replace(from_trunk.network, auxiliary_dropout=0.0)
    stage = replace(from_trunk.experts, steps=3, accumulate=2, keep_all=0.6)
    recipe = replace(from_trunk, network=network, experts=stage)
    alone, together = tmp_path / 'alone', tmp_path / 'together'
    together.mkdir()
    processes = [start(recipe, together, 'event', rank=rank) for rank in (0, 1)]
    train(recipe, 'experts', ToyDataset(lacking=('event',)), None, alone, 'cpu')
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors.decode()
    assert_same(together / 'experts_0.safetensors', together / 'experts_1.safetensors')
    for (_, one), (_, two) in zip(
        loss_curve(alone, 'experts'), loss_curve(together, 'experts'), strict=True
    ):
        assert one == pytest.approx(two, rel=1e-4)
    one, two = (
        read_checkpoint(path).model
        for path in (alone / 'experts.safetensors', together / 'experts_0.safetensors')
    )
    torch.manual_seed(recipe.seed)
    begin = MleSam(network).state_dict()
    learnt = [
        name for name in one if not torch.equal(one[name], begin[name]) and '.lidar.' in name
    ]
    assert learnt
    assert distance({n: one[n] for n in learnt}, two) < 0.02 * distance(
        {n: one[n] for n in learnt}, begin
    )
    trunk = read_checkpoint(Path(recipe.pretrained)).model
    for name, value in two.items():  # no worker has seen events: not even the decay is applied
        if '.experts.event.' in name:
            assert torch.equal(value, begin[name]), name
        if '.input_adapters.event.' in name:
            origin = name.replace('input_adapters.event', 'trunk.patch_embed')
            assert torch.equal(value, trunk[origin]), name


def test_a_modality_that_is_not_there_rests_whatever_its_momentum(recipe, dataset):
    trainer, network = new_trainer(recipe), recipe.network
    for _ in range(3):
        trainer.train_step([whole_batch(dataset, network)])
    before = {name: p.clone() for name, p in trainer.model.named_parameters()}
    trainer.train_step([whole_batch(ToyDataset(lacking=('event',)), network)])
    for name, parameter in trainer.model.named_parameters():
        moved = not torch.equal(parameter, before[name])
        if '.event.' in name:
            assert not moved, name
        elif '.lidar.' in name:
            assert moved, name


def test_the_frozen_stays_as_it_was(whole_run):
    trunk, experts = (
        read_checkpoint(whole_run / f'{s}.safetensors').model for s in ('trunk', 'experts')
    )
    for name, value in trunk.items():
        if name.startswith(('image_encoder.', 'sam_mask_decoder.transformer')):
            assert torch.equal(experts[name], value), name
    name = 'auxiliary_head.fuse.weight'
    assert not torch.equal(experts[name], trunk[name])


@pytest.mark.parametrize('clip_norm', [0.0, 1e-6])
def test_gradients_are_clipped_where_asked(recipe, dataset, clip_norm):
    stage = replace(recipe.experts, clip_norm=clip_norm)
    trainer = new_trainer(replace(recipe, experts=stage))
    trainer.train_step([whole_batch(dataset, recipe.network)])
    gradients = [p.grad for _, p in trainer.learning if p.grad is not None]
    norm = torch.stack([g.norm() for g in gradients]).norm().item()
    assert (norm <= 1.01e-6) == (clip_norm > 0)


def test_log_has_a_line_per_checkpoint_and_the_recipe_lies_beside_it(recipe, whole_run):
    lines = [json.loads(line) for line in (whole_run / 'trunk.jsonl').read_text().splitlines()]
    assert [line['step'] for line in lines] == [4, 6]
    assert all(0 < line['loss'] < 10 for line in lines)
    losses = [loss for _, loss in loss_curve(whole_run, 'trunk')]
    assert lines[0]['loss'] == pytest.approx(sum(losses[:4]) / 4, rel=1e-5)
    assert read_recipe(whole_run / 'recipe.yaml') == recipe


def test_the_best_checkpoint_is_kept(recipe, dataset, tmp_path, monkeypatch):
    scores = iter([0.3, 0.5, 0.4])
    monkeypatch.setattr('mle_sam.train.validate', lambda *_: next(scores))
    recipe = replace(recipe, trunk=replace(recipe.trunk, validate_every=2, save_every=3))
    train(recipe, 'trunk', dataset, dataset, tmp_path, 'cpu')
    best = read_checkpoint(tmp_path / 'trunk.best.safetensors')
    assert (best.step, best.best_miou) == (4, 0.5)
    last = read_checkpoint(tmp_path / 'trunk.safetensors')
    assert (last.step, last.best_miou) == (6, 0.5)
    lines = [json.loads(line) for line in (tmp_path / 'trunk.jsonl').read_text().splitlines()]
    assert [line['miou'] for line in lines] == [0.3, 0.4]
    longer = replace(recipe, trunk=replace(recipe.trunk, steps=8))
    scores = iter([0.45])  # good, but not the best of the whole run
    train(longer, 'trunk', dataset, dataset, tmp_path, 'cpu')
    assert read_checkpoint(tmp_path / 'trunk.best.safetensors').step == 4


def test_experts_need_a_finished_trunk(recipe, dataset, whole_run, tmp_path):
    with pytest.raises(InputError, match=r'trunk\.safetensors'):
        train(recipe, 'experts', dataset, None, tmp_path, 'cpu')
    own = replace(recipe, trunk=None, pretrained=str(whole_run / 'experts.safetensors'))
    with pytest.raises(InputError, match='expected a finished trunk'):
        train(own, 'experts', dataset, None, tmp_path, 'cpu')


def test_a_resumed_run_needs_its_start_no_more(from_trunk, dataset, tmp_path):
    train(from_trunk, 'experts', dataset, None, tmp_path, 'cpu')
    longer = replace(from_trunk.experts, steps=7)
    gone = replace(from_trunk, experts=longer, pretrained=str(tmp_path / 'gone.pt'))
    train(gone, 'experts', dataset, None, tmp_path, 'cpu')
    assert read_checkpoint(tmp_path / 'experts.safetensors').step == 7


def test_another_network_is_refused(recipe, whole_run):
    other = replace(recipe, network=replace(recipe.network, auxiliary_width=16))
    path = whole_run / 'trunk.safetensors'
    match = f'{path}: expected stage trunk of the network of toy, .* in auxiliary_width; train'
    with pytest.raises(InputError, match=match):
        new_trainer(other, 'trunk').restore(read_checkpoint(path), str(path))
    with pytest.raises(InputError, match=r'expected stage experts .*, got stage trunk of it'):
        new_trainer(recipe).restore(read_checkpoint(path))


def test_a_batch_that_cannot_be_shared_is_refused(recipe):
    workers = Workers('cpu')
    workers.count = 3
    model = MleSam(recipe.network)
    with pytest.raises(InputError, match=r'stage\.batch: expected a multiple of 3 workers.*got 4'):
        Trainer(recipe, 'experts', model, 6, workers)


def test_a_run_that_diverges_keeps_its_last_good_checkpoint(
    recipe, dataset, tmp_path, monkeypatch
):
    step = Trainer.train_step

    def diverging(trainer, micro_batches):
        loss = step(trainer, micro_batches)
        return float('nan') if trainer.step == 6 else loss

    monkeypatch.setattr(Trainer, 'train_step', diverging)
    with pytest.raises(InputError, match='finite loss, got nan in step 6; lower learning_rate'):
        train(recipe, 'trunk', dataset, None, tmp_path, 'cpu')
    assert read_checkpoint(tmp_path / 'trunk.safetensors').step == 4
    half = replace(recipe, trunk=replace(recipe.trunk, precision='fp16'))
    train(half, 'trunk', dataset, None, tmp_path, 'cpu')  # there it is the loss scale's affair
    assert read_checkpoint(tmp_path / 'trunk.safetensors').step == 6


def test_a_hundred_steps_or_so_learn_the_toy(recipe, tmp_path):
    lively = replace(recipe.trunk, learning_rate=2e-3, save_every=50, keep_all=0.5)
    stages = {'trunk': replace(lively, steps=90), 'experts': replace(lively, steps=60)}
    recipe, unseen = replace(recipe, **stages), ToyDataset(8, seed=1)
    assert validate(new_trainer(recipe).model, unseen, Workers('cpu')) < 0.4
    for stage in recipe.stages:
        train(recipe, stage, ToyDataset(32), None, tmp_path, 'cpu')
        losses = [loss for _, loss in loss_curve(tmp_path, stage)]
        assert sum(losses[-10:]) / 10 < 0.2 * losses[0]
    trainer = new_trainer(recipe)
    trainer.restore(read_checkpoint(tmp_path / 'experts.safetensors'))
    assert validate(trainer.model, unseen, Workers('cpu')) > 0.9


def test_learning_rate_rises_then_falls(recipe):
    stage = replace(recipe.trunk, warmup_share=0.1)
    rates = [learning_rate(step, 100, stage) for step in range(100)]
    assert rates[0] == pytest.approx(0.1 * stage.learning_rate)
    assert max(rates) == pytest.approx(stage.learning_rate, rel=0.1)
    assert rates.index(max(rates)) in (9, 10)
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < 0.02 * stage.learning_rate
