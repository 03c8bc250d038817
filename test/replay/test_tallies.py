"""Tallies add up exactly, in any order, and are read back from the metrics they were made into."""

import json

from bundles import manifest_mapping
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.score.conditions import Conditions, Span
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.scores import scores
from mle_sam_ros.replay.score.tallies import Layout, Tallies
import numpy as np
import pytest
from sample_frames import sample_frames

MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')
ALL = ('camera', 'event', 'lidar')


def random_frame(seed, stamp_ns):
    random = np.random.default_rng(seed)
    size_hw = (6, 9)
    weights = random.dirichlet(np.ones(3), 3).astype(np.float32)
    return Frame(
        stamp_ns,
        random.choice([0, 1, 2, 255], size_hw).astype(np.uint8),
        random.integers(0, 256, size_hw, np.uint8),
        frozenset(random.choice(ALL, random.integers(1, 4), replace=False).tolist()),
        weights,
        float(random.uniform(1, 50)),
        {'infer': 3.0},
        random.choice([0, 1, 2, 255], size_hw).astype(np.uint8) if random.random() < 0.8 else None,
    )


def tallies_of(seeds, bag='a', condition='night'):
    spans = [Span('condition', condition), Span('failure', 'blur', 0.1, 0.3)]
    evaluation = Evaluation(MANIFEST, Conditions(spans))
    for index, seed in enumerate(seeds):
        frame = random_frame(seed, index * 400_000_000)
        evaluation.add(frame)
        if frame.truth is not None:
            evaluation.add_subset({'event'}, frame.label_map, frame.truth)
    account = FrameAccount(received=len(seeds) + 1, emitted=len(seeds))
    account.rejected.update(['too_old'])
    return evaluation.tallies(bag, account.to_mapping(), {'bad': len(seeds)}, 2)


def total_of(parts):
    total = Tallies(parts[0].layout)
    for part in parts:
        total.add(part)
    return total


def text_of(tallies):
    return json.dumps(scores(tallies), allow_nan=False)


SEEDS = st.lists(st.integers(0, 10_000), min_size=0, max_size=5)


@settings(deadline=None, max_examples=30)
@given(SEEDS, SEEDS, SEEDS)
def test_the_order_of_adding_changes_nothing(first, second, third):
    parts = [
        tallies_of(first, 'a'),
        tallies_of(second, 'b', 'day'),
        tallies_of(third, 'c', 'rain'),
    ]
    expected = text_of(total_of(parts))
    assert text_of(total_of(parts[::-1])) == expected
    assert text_of(total_of([total_of(parts[1:]), parts[0]])) == expected


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_tallies_are_read_back_from_metrics(seeds):
    text = text_of(tallies_of(seeds))
    assert text_of(Tallies.from_metrics(json.loads(text))) == text


def test_a_sum_of_recordings_is_what_one_evaluation_would_have_counted():
    """Where no temporal pair and no fifth of a second is cut."""
    frames = list(sample_frames(24))
    cut = next(index for index in range(12, 24) if frames[index].stamp_ns % 200_000_000 == 0)
    frames[cut] = Frame(**{**vars(frames[cut]), 'image': None})
    whole, halves = Evaluation(MANIFEST), (Evaluation(MANIFEST), Evaluation(MANIFEST))
    for index, frame in enumerate(frames):
        whole.add(frame)
        halves[index >= cut].add(frame)
    account = FrameAccount().to_mapping()
    total = total_of([half.tallies('bag', account, {}, 0) for half in halves])
    metrics = scores(total)
    assert metrics == scores(whole.tallies('bag', account, {}, 0))
    assert metrics['temporal_consistency']['pairs'] > 2
    assert metrics['temporal_consistency']['miou'] is not None


def test_tallies_of_another_model_do_not_add():
    one = Tallies(Layout(('road', 'sky'), ALL, 3))
    with pytest.raises(InputError, match='expected those of 2 classes'):
        one.add(Tallies(Layout(('road', 'car'), ALL, 3)))


@pytest.mark.parametrize(
    'damage',
    [
        lambda metrics: metrics.pop('tallies'),
        lambda metrics: metrics.update(blocks=[{}]),
        lambda metrics: metrics['tallies']['whole'].update(confusion=[[1, 2], [3]]),
        lambda metrics: metrics['tallies']['whole'].update(frames='many'),
        lambda metrics: metrics.update(classes=['road']),
        lambda metrics: metrics.update(frames={'received': 3, 'rejected': 2}),
        lambda metrics: metrics['frames'].update(received=None),
        lambda metrics: metrics.update(faults={'bad': 'often'}),
        lambda metrics: metrics['tallies']['whole']['boundary'].update(hits=[10**30] * 11),
        lambda metrics: metrics.update(modalities=['camera', 'radar']),
        lambda metrics: metrics['tallies'].update(whole=[]),
    ],
)
def test_damaged_metrics_are_refused_in_one_line(damage):
    metrics = json.loads(text_of(tallies_of([1, 2])))
    damage(metrics)
    with pytest.raises(InputError, match=r'here\.json: expected the tallies') as error:
        Tallies.from_metrics(metrics, 'here.json')
    assert '\n' not in str(error.value)
