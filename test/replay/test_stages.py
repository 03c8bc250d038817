"""The stages of a replay may be as slow as they like: nothing of its results depends on it."""

import random
import sys
import threading
import time

from bundles import write_tiny_bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.bags import ahead, drive
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.pipeline import Pipeline
from mle_sam_ros.replay import replay as replay_module
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.score.evaluation import Evaluation
import pytest
from tiny_drive import write_drive

NUM_FRAMES = 12
# Of which one has no room for its pixels, and one an encoding that nobody knows.
BREAKS = {4: {'encoding': 'rgb565'}, 7: {'step': 7}}


@pytest.fixture(scope='module')
def room(tmp_path_factory):
    room = tmp_path_factory.mktemp('stages')
    write_tiny_bundle(room / 'tiny')
    write_drive(room / 'drive.mcap', NUM_FRAMES, breaks=BREAKS, silent={'camera': range(9, 11)})
    write_drive(room / 'whole.mcap', NUM_FRAMES)
    return room


@pytest.fixture(scope='module')
def expected(room):
    """What comes out when each stage waits for the one before."""
    return results(room)


def results(room, **options) -> dict[str, bytes]:
    arguments = {'all_subsets': True, 'keep_going': True, 'threads': 1} | options
    replay(Settings(room / 'drive.mcap', room / 'tiny', **arguments), room / 'out')
    # How long it took is told apart, and shown in the report.
    names = ('metrics.json', 'annotated.mcap')
    return {name: (room / 'out' / name).read_bytes() for name in names}


class Hesitant(ahead.Ahead):
    """Now and then both sides of it do nothing for a while."""

    chance = random.Random(0)

    def _hand_over(self, item):
        self._hesitate()
        return super()._hand_over(item)

    def __next__(self):
        self._hesitate()
        return super().__next__()

    def _hesitate(self):
        if self.chance.random() < 0.3:
            time.sleep(self.chance.random() * 0.01)


@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limits=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    switch_s=st.sampled_from([1e-5, 5e-3]),
)
def test_results_do_not_depend_on_the_pace_of_any_stage(room, expected, seed, limits, switch_s):
    before_s = sys.getswitchinterval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Hesitant, 'chance', random.Random(seed))
        for module in (drive, replay_module):
            patch.setattr(module, 'Ahead', Hesitant)
        patch.setattr(drive, '_NUM_AHEAD', limits[0])
        patch.setattr(replay_module, '_NUM_AHEAD', limits[1])
        sys.setswitchinterval(switch_s)
        try:
            assert results(room) == expected
        finally:
            sys.setswitchinterval(before_s)


def failing(stage, at: int, error: BaseException):
    """The stage's method, which fails when it is called so many times."""
    calls = []

    def method(*arguments, **options):
        calls.append(None)
        if len(calls) == at:
            raise error
        return stage(*arguments, **options)

    return method


STAGES = {
    'prepare': (Pipeline, 'prepare'),
    'infer': (Pipeline, 'infer'),
    'score': (Evaluation, 'add'),
    'write': (replay_module.Viewers, 'add'),
}


@pytest.mark.parametrize('error', [InputError('a: expected b, got c; d'), KeyboardInterrupt()])
@pytest.mark.parametrize('stage', STAGES)
def test_whatever_stage_fails_nothing_is_left(room, tmp_path, monkeypatch, stage, error):
    owner, name = STAGES[stage]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), 3, error))
    out = tmp_path / 'results' / 'out'
    with pytest.raises(type(error)):
        replay(Settings(room / 'whole.mcap', room / 'tiny', backend='onnx'), out)
    assert list(out.parent.iterdir()) == []
    assert 'ahead' not in [thread.name for thread in threading.enumerate()]


def test_frames_that_the_engine_fails_on_are_counted(room, tmp_path, monkeypatch):
    error = InputError('engine: expected a quiet day, got none; wait')
    monkeypatch.setattr(Pipeline, 'infer', failing(Pipeline.infer, 3, error))
    whole = Settings(room / 'whole.mcap', room / 'tiny', backend='onnx', keep_going=True)
    metrics = replay(whole, tmp_path / 'out')
    assert metrics['frames']['rejected'] == {'engine_failed': 1}
    assert metrics['frames']['emitted'] == NUM_FRAMES - 1
    assert metrics['faults'] == {str(error): 1}
