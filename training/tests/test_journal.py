from dataclasses import replace
import json

from mle_sam.journal import Journal
from mle_sam.models.mle_sam import MleSam
from mle_sam.train import Trainer
from mle_sam.workers import Workers
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@pytest.fixture
def trainer(recipe) -> Trainer:
    return Trainer(recipe, 'trunk', MleSam(recipe.network_of('trunk')), 6, Workers('cpu'))


def note(trainer, journal, losses):
    for loss in losses:
        trainer.step += 1
        journal.note_loss(loss)


def test_a_line_is_the_mean_since_the_last(trainer, tmp_path):
    with Journal(trainer, tmp_path) as journal:
        note(trainer, journal, [3.0, 1.0])
        journal.write()
        note(trainer, journal, [0.5])
        journal.note_miou(0.25)
        journal.write()
    lines = [json.loads(line) for line in (tmp_path / 'trunk.jsonl').read_text().splitlines()]
    assert [(line['step'], line['loss'], line.get('miou')) for line in lines] == [
        (2, 2.0, None),
        (3, 0.5, 0.25),
    ]
    events = EventAccumulator(str(tmp_path / 'tensorboard' / 'trunk')).Reload()
    assert [(e.step, e.value) for e in events.Scalars('loss')] == [(1, 3.0), (2, 1.0), (3, 0.5)]
    assert [(e.step, e.value) for e in events.Scalars('miou')] == [(3, 0.25)]
    assert len(events.Scalars('learning_rate')) == 3


def test_what_a_resumed_run_repeats_is_forgotten(trainer, tmp_path):
    path = tmp_path / 'trunk.jsonl'
    lines = [json.dumps({'step': step, 'loss': 1.0, 's': 1.0}) for step in (2, 4)]
    path.write_text('\n'.join(lines) + '\n{"step": 6, "lo')
    trainer.step = 2
    with Journal(trainer, tmp_path) as journal:
        note(trainer, journal, [2.0])
        journal.write()
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line['step'], line['loss']) for line in kept] == [(2, 1.0), (3, 2.0)]


def test_other_workers_write_nothing(trainer, tmp_path):
    trainer.workers.rank = 1
    with Journal(trainer, tmp_path / 'run') as journal:
        note(trainer, journal, [2.0])
        journal.note_miou(0.5)
        journal.write()
    assert not (tmp_path / 'run').exists()


def test_the_recipe_is_the_present_one(trainer, tmp_path):
    for name in ('first', 'second'):
        trainer.recipe = replace(trainer.recipe, name=name)
        with Journal(trainer, tmp_path):
            pass
        assert f'name: {name}\n' in (tmp_path / 'recipe.yaml').read_text()
        assert not list(tmp_path.glob('*.partial*'))
