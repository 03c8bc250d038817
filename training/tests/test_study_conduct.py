from dataclasses import replace
import os
import signal
import sys
import threading
import time

from mle_sam.checkpoint import Checkpoint, save_checkpoint
from mle_sam.recipe import read_recipe
from mle_sam.study import conduct
from mle_sam.study.conduct import check_unchanged, Conductor, locked, terminated
from mle_sam.study.plan import Run
from mle_sam_ros.core.errors import InputError
import pytest

# Stands for `mle-sam-training`: says what it was asked, and leaves what a command leaves.
PROGRAM = """
import pathlib, sys, time
command, options = sys.argv[1], dict(zip(sys.argv[2::2], sys.argv[3::2]))
given = options.get('--run-directory') or options['--out']
room = pathlib.Path(given)
with open(room.parent / 'asked.txt', 'a') as asked:
    print(command, room.name, file=asked)
if (room / 'fails').exists():
    sys.exit(2)
while (room / 'waits').exists():
    time.sleep(0.02)
(room / ('scored' if command == 'evaluate' else 'trained')).touch()
"""


@pytest.fixture(autouse=True)
def program(monkeypatch, tmp_path):
    script = tmp_path / 'program.py'
    script.write_text(PROGRAM)
    monkeypatch.setattr(conduct, '_PROGRAM', (sys.executable, str(script)))
    monkeypatch.setattr(conduct, '_PAUSE_S', 0.01)
    monkeypatch.setattr(conduct, '_is_trained', lambda run: (run.directory / 'trained').exists())
    monkeypatch.setattr(conduct, 'is_scored', lambda run: (run.directory / 'scored').exists())


@pytest.fixture
def root(tmp_path):
    return tmp_path / 'runs'


@pytest.fixture
def runs(recipe, root):
    """A trunk, two runs on it, and one that needs none."""

    def run(name, stage='experts', start=None):
        own = replace_start(recipe, start) if stage == 'experts' else recipe
        return Run('all', name, own, stage, root / 'all' / name)

    trunk = run('trunk', 'trunk')
    return [trunk, run('a', start=trunk), run('b', start=trunk), run('c', start='elsewhere')]


def replace_start(recipe, start):
    path = str(start.checkpoint) if isinstance(start, Run) else start
    return replace(recipe, trunk=None, pretrained=path)


def conducted(runs, root, num_jobs=2):
    with locked(root) as lock, terminated():
        return Conductor(num_jobs, lock).conduct(runs)


def asked(root):
    path = root / 'all' / 'asked.txt'
    return path.read_text().splitlines() if path.exists() else []


def touch(run, name):
    run.directory.mkdir(parents=True, exist_ok=True)
    (run.directory / name).touch()


def test_runs_are_trained_after_their_trunk_and_then_scored(runs, root):
    assert conducted(runs, root) == []
    lines = asked(root)
    assert sorted(lines) == sorted(
        ['train trunk', *(f'{what} {name}' for name in 'abc' for what in ('train', 'evaluate'))]
    )
    for name in 'abc':
        assert lines.index(f'train {name}') < lines.index(f'evaluate {name}')
    planned = runs[0].directory / 'planned.yaml'
    assert read_recipe(planned) == runs[0].recipe


def test_what_is_finished_is_not_done_again(runs, root):
    for run in runs[:3]:
        touch(run, 'trained')
    touch(runs[1], 'scored')
    conducted(runs, root, num_jobs=1)
    assert asked(root) == ['evaluate b', 'train c', 'evaluate c']
    conducted(runs, root)
    assert len(asked(root)) == 3


def test_no_run_starts_before_its_trunk_is_ready(runs, root):
    touch(runs[0], 'waits')
    before = []

    def release():
        while not {'train trunk', 'evaluate c'} <= set(asked(root)):
            time.sleep(0.01)
        before.extend(asked(root))
        (runs[0].directory / 'waits').unlink()

    threading.Thread(target=release).start()
    assert conducted(runs, root, num_jobs=3) == []
    # With room for a third process, nothing else could start.
    assert sorted(before) == ['evaluate c', 'train c', 'train trunk']


def test_a_run_that_fails_takes_those_on_it_with_it(runs, root, capsys):
    touch(runs[0], 'fails')
    failed = conducted(runs, root)
    assert [run.network for run in failed] == ['trunk', 'a', 'b']
    assert sorted(asked(root)) == ['evaluate c', 'train c', 'train trunk']
    assert 'all/trunk failed: see ' in capsys.readouterr().err
    (runs[0].directory / 'fails').unlink()
    assert conducted(runs, root) == []


def test_a_study_that_is_ended_ends_its_processes_and_goes_on_later(runs, root):
    touch(runs[3], 'waits')

    def end():
        while 'train c' not in asked(root):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end).start()
    with pytest.raises(KeyboardInterrupt):
        conducted(runs[3:], root)
    with locked(root):  # which no process holds any more
        pass
    (runs[3].directory / 'waits').unlink()
    assert conducted(runs[3:], root) == []
    assert asked(root) == ['train c', 'train c', 'evaluate c']


def test_one_study_at_a_time_works_in_a_directory(root):
    with locked(root), pytest.raises(InputError, match='expected a directory that no other study'):
        with locked(root):
            pass


def test_a_process_that_outlives_its_study_keeps_the_directory(runs, root):
    touch(runs[3], 'waits')
    with locked(root) as lock:
        conductor = Conductor(1, lock)
        conductor._start(runs[3])
    with pytest.raises(InputError, match='running processes'), locked(root):
        pass
    conductor._end_all()
    with locked(root):
        pass


def test_a_run_of_another_recipe_is_not_gone_on_with(runs):
    trunk = runs[0]
    check_unchanged(runs)  # there is none yet
    save_checkpoint(Checkpoint(trunk.recipe, 'trunk', 3, {}, {}), trunk.checkpoint)
    check_unchanged(runs)
    longer = replace(trunk.recipe.experts, steps=99)
    check_unchanged([replace(trunk, recipe=replace(trunk.recipe, experts=longer))])
    changed = replace(trunk, recipe=replace(trunk.recipe, seed=9))
    with pytest.raises(InputError, match='expected a run of the recipe as it is now'):
        check_unchanged([changed])
