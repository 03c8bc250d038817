from dataclasses import replace

from mle_sam.datasets.batches import Batches, random_presence
import numpy as np
import pytest
import torch

NAMES = ('camera', 'event', 'lidar')


@pytest.fixture
def stage(recipe):
    return replace(recipe.experts, batch=4, jitter=0.0, keep_all=1.0)


def test_a_step_is_always_the_same_batch(shards, stage):
    stage = replace(stage, jitter=0.3, keep_all=0.3)
    first, again = (Batches(shards, NAMES, stage, seed=1) for _ in range(2))
    first.at(0)
    for step in (3, 17):
        one, two = first.at(step), again.at(step)
        for name in NAMES:
            assert torch.equal(one.rasters[name], two.rasters[name])
        assert torch.equal(one.labels, two.labels)
        assert torch.equal(one.present, two.present)
    other = Batches(shards, NAMES, stage, seed=2)
    assert not torch.equal(first.at(3).rasters['camera'], other.at(3).rasters['camera'])


def test_every_epoch_sees_every_moment_once(shards, stage):
    batches = Batches(shards, NAMES, stage, seed=1)
    known = {label.tobytes() for shard in shards for label in shard.labels}
    for epoch in (0, 1):
        seen = set()
        for step in (2 * epoch, 2 * epoch + 1):
            for label in batches.at(step).labels.numpy().astype(np.uint8):
                flipped = np.ascontiguousarray(label[:, ::-1])
                seen.add(label.tobytes() if label.tobytes() in known else flipped.tobytes())
        assert seen == known


def test_flips_keep_rasters_and_labels_together(shards, stage):
    batches = Batches(shards, NAMES, stage, seed=1)
    flips = 0
    for step in range(4):
        batch = batches.at(step)
        for camera, label in zip(batch.rasters['camera'], batch.labels, strict=True):
            right_edge = label[0, -1] == 255
            flips += int(right_edge)
            known = label != 255
            brightest = camera.argmax(-1)  # the bands are red, green and blue
            assert torch.equal(brightest[known], label[known])
    assert 0 < flips < 16


def test_shares_make_up_the_batch(shards, stage):
    stage = replace(stage, jitter=0.3, keep_all=0.3)
    whole = Batches(shards, NAMES, stage, seed=1).at(5)
    shares = [Batches(shards, NAMES, stage, 1, (worker, 2)).at(5) for worker in (0, 1)]
    for worker, share in enumerate(shares):
        assert torch.equal(share.labels, whole.labels[worker::2])
        assert torch.equal(share.present, whole.present[worker::2])
        assert torch.equal(share.rasters['camera'], whole.rasters['camera'][worker::2])


def test_presence_is_never_empty_and_as_often_whole_as_asked():
    rng = np.random.default_rng(0)
    drawn = np.stack([random_presence(3, 0.4, rng) for _ in range(4000)])
    assert drawn.any(1).all()
    # 0.4 on purpose, and one of the seven subsets in the other draws.
    assert drawn.all(1).mean() == pytest.approx(0.4 + 0.6 / 7, abs=0.03)
    assert len(np.unique(drawn, axis=0)) == 7
    assert all(random_presence(3, 1.0, rng).all() for _ in range(10))
