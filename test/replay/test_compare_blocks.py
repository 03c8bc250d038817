"""The bootstrap against a slow one, against known differences, and against blocks that lie."""

from comparable_results import blocks_of, CLASSES, random_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.compare import blocks as compare_blocks
from mle_sam_ros.replay.compare.blocks import block_scores, PairedBlocks, read_blocks
import numpy as np
import pytest

K = len(CLASSES)


def paired(standing: np.ndarray, candidate: np.ndarray) -> PairedBlocks:
    return PairedBlocks(standing, candidate, (0, 0))


def slow_scores(blocks: list[np.ndarray]) -> list[float]:
    """Of one list of (3, K) blocks, by hand."""
    ious, num_hits, num_known = [], 0, 0
    for index in range(K):
        hits = sum(int(block[0, index]) for block in blocks)
        truth = sum(int(block[1, index]) for block in blocks)
        predicted = sum(int(block[2, index]) for block in blocks)
        union = truth + predicted - hits
        ious.append(hits / union if union else np.nan)
        num_hits, num_known = num_hits + hits, num_known + truth
    present = [iou for iou in ious if not np.isnan(iou)]
    miou = sum(present) / len(present) if present else np.nan
    return [miou, num_hits / num_known if num_known else np.nan, *ious]


def slow_intervals(standing, candidate, seed, num_resamples):
    random = np.random.default_rng(seed)
    differences = []
    for _ in range(num_resamples):
        drawn = random.integers(0, len(standing), len(standing))
        one = slow_scores([standing[index] for index in drawn])
        other = slow_scores([candidate[index] for index in drawn])
        differences.append(np.subtract(other, one))
    return np.nanpercentile(differences, [2.5, 97.5], axis=0).T


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), num_blocks=st.integers(2, 9), weights=st.integers(1, 60))
def test_intervals_are_those_of_a_slow_bootstrap(seed, num_blocks, weights):
    standing = random_counts(seed, num_blocks)
    candidate = random_counts(seed + 1, num_blocks)
    standing[::2, :, 1] = candidate[::2, :, 1] = 0  # a class that many draws lack
    pairs = paired(standing, candidate)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_blocks, '_MAX_WEIGHTS', weights)  # in parts or at once
        fast = pairs.intervals(seed, 30)
    np.testing.assert_allclose(fast, slow_intervals(standing, candidate, seed, 30), atol=1e-12)
    np.testing.assert_allclose(pairs.scores(), [slow_scores(standing), slow_scores(candidate)])


def test_two_equal_results_differ_by_nothing():
    counts = random_counts(0, 40)
    assert paired(counts, counts).intervals() == [(0.0, 0.0)] * (K + 2)


def test_a_known_difference_lies_in_nineteen_of_twenty_intervals():
    """Blocks from two known rates; the true difference is that of very many blocks."""
    loss = 0.02

    def draw(seed, num_blocks):
        standing = random_counts(seed, num_blocks, 0.75)
        random = np.random.default_rng(seed + 1_000_000)
        candidate = standing.copy()
        candidate[:, 0] = random.binomial(standing[:, 0], 1 - loss)
        return standing, candidate

    many = paired(*draw(10**6, 50_000))
    truth = np.subtract(*many.scores()[::-1])
    found = [paired(*draw(seed, 50)).intervals(seed, 400) for seed in range(200)]
    low, high = np.moveaxis(np.array(found), 2, 0)
    coverage = ((low <= truth) & (truth <= high)).mean(axis=0)
    assert (coverage > 0.88).all(), coverage
    assert (coverage < 0.99).all(), coverage
    assert (high < 0).all(), 'a loss that is plain'


def test_a_draw_is_repeated_by_its_seed():
    pairs = paired(random_counts(0, 9), random_counts(1, 9))
    assert pairs.intervals(3) == pairs.intervals(3)
    assert pairs.intervals(3) != pairs.intervals(4)


def test_blocks_are_matched_by_recording_and_start():
    counts = random_counts(0, 5)
    standing = read_blocks({'blocks': blocks_of(counts)}, K, '')
    other = read_blocks({'blocks': blocks_of(counts, 'b' * 64)[:2]}, K, '')
    shuffled = read_blocks({'blocks': blocks_of(counts)[:0:-1]}, K, '')
    pairs = PairedBlocks.match(standing, {**shuffled, **other})
    assert pairs.num_unmatched == (1, 2)
    assert pairs.num_differing == 0
    np.testing.assert_array_equal(pairs.standing, pairs.candidate)
    assert len(PairedBlocks.match(standing, other)) == 0
    assert PairedBlocks.match(standing, other).intervals() == []


def test_other_frames_are_noticed():
    counts = random_counts(0, 5)
    blocks = blocks_of(counts)
    blocks[2]['frames'] = 19
    pairs = PairedBlocks.match(
        *(read_blocks({'blocks': item}, K, '') for item in (blocks_of(counts), blocks))
    )
    assert pairs.num_differing == 1


def test_halves_of_a_block_are_added():
    counts = random_counts(0, 3)
    halves = blocks_of(counts // 2) + blocks_of(counts - counts // 2)
    whole = read_blocks({'blocks': blocks_of(counts)}, K, '')
    added = read_blocks({'blocks': halves}, K, '')
    assert added.keys() == whole.keys()
    for key, block in whole.items():
        np.testing.assert_array_equal(added[key][:3], block[:3])


def test_one_block_has_no_interval():
    counts = random_counts(0, 1)
    assert paired(counts, counts).intervals() == [None] * (K + 2)


def test_nothing_to_score_is_no_number():
    assert np.isnan(block_scores(np.zeros((3, K)))).all()


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'bag': 3}, 'expected bag, start_ns and frames, got 3'),
        ({'start_ns': 1.5}, 'got .* 1.5'),
        ({'frames': -1}, '-1'),
        ({'frames': True}, 'True'),
        ({'hits': [1, 2]}, 'expected hits to be 3 numbers of pixels'),
        ({'hits': [1, 2, None]}, 'expected hits'),
        ({'truth': None}, 'expected truth'),
        ({'predicted': [1, 2, 10**400]}, 'expected predicted'),
        ({'hits': [10**9, 0, 0]}, 'no more hits than pixels'),
    ],
)
def test_blocks_that_lie(change, words):
    blocks = blocks_of(random_counts(0, 2))
    blocks[1] |= change
    with pytest.raises(InputError, match=rf'metrics.json: blocks\[1\]: .*{words}'):
        read_blocks({'blocks': blocks}, K, 'metrics.json')


@pytest.mark.parametrize('content', [{'blocks': {'a': 1}}, {'blocks': [3]}, {'blocks': 'all'}])
def test_blocks_that_are_none(content):
    with pytest.raises(InputError, match='expected'):
        read_blocks(content, K, 'metrics.json')
