from collections import Counter
from dataclasses import replace

from mle_sam.datasets.augmentation import AugmentationConfig
from mle_sam.datasets.batches import (
    as_item,
    collate,
    EndlessItems,
    load_batches,
    MicroBatches,
    random_presence,
)
from mle_sam_ros.core.manifest import AlignedImageEncoding
import numpy as np
import pytest
import torch
from toy import ToyDataset

STILL = AugmentationConfig(flip=0.0, scale=(1.0, 1.0), jitter=0.0, blur=0.0)


@pytest.fixture
def stage(recipe):
    return replace(recipe.experts, batch=4, keep_all=1.0, augmentation=STILL)


@pytest.fixture
def lively(stage):
    return replace(stage, keep_all=0.3, augmentation=AugmentationConfig())


def assert_equal(one, two):
    assert one.rasters.keys() == two.rasters.keys()
    for name in one.rasters:
        assert torch.equal(one.rasters[name], two.rasters[name]), name
    assert torch.equal(one.labels, two.labels)
    assert torch.equal(one.present, two.present)


def test_a_position_is_always_the_same_item(dataset, network, lively):
    first, again = (EndlessItems(dataset, network, lively, seed=1) for _ in range(2))
    first[0]
    for position in (13, 70):
        assert_equal(collate([first[position]]), collate([again[position]]))
    other = EndlessItems(dataset, network, lively, seed=2)
    assert not np.array_equal(first[13].rasters['camera'], other[13].rasters['camera'])


def test_every_epoch_sees_every_sample_once_in_another_order(dataset, network, stage):
    items = EndlessItems(dataset, network, stage, seed=1)
    known = {dataset[index].labels.tobytes() for index in range(8)}
    epochs = [[items[8 * n + place].labels.tobytes() for place in range(8)] for n in (0, 1)]
    assert set(epochs[0]) == set(epochs[1]) == known
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize('num_loaders', [1, 2])
def test_loaders_change_nothing(dataset, network, lively, num_loaders):
    items = EndlessItems(dataset, network, lively, seed=1)
    positions = MicroBatches(lively, range(3, 6), (0, 1))
    alone = list(load_batches(items, positions, 0))
    helped = list(load_batches(items, positions, num_loaders))
    assert len(alone) == len(helped) == 3
    for one, two in zip(alone, helped, strict=True):
        assert_equal(one, two)


def test_loading_leaves_the_random_numbers_of_the_run_alone(dataset, network, lively):
    items = EndlessItems(dataset, network, lively, seed=1)
    before = torch.get_rng_state()
    next(iter(load_batches(items, MicroBatches(lively, range(1), (0, 1)), 0)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(('workers', 'accumulate'), [(1, 1), (2, 1), (1, 3), (2, 3), (3, 2)])
def test_workers_and_micro_batches_make_up_the_batch(stage, workers, accumulate):
    stage = replace(stage, batch=12, accumulate=accumulate)
    seen = {step: Counter() for step in (5, 6)}
    for worker in range(workers):
        sampler = MicroBatches(stage, range(5, 7), (worker, workers))
        parts = list(sampler)
        assert len(parts) == len(sampler) == 2 * accumulate
        assert {len(part) for part in parts} == {12 // workers // accumulate}
        for number, part in enumerate(parts):
            seen[5 + number // accumulate].update(part)
    for step, positions in seen.items():
        assert positions == Counter(range(12 * step, 12 * step + 12))


def test_what_is_dropped_is_zero_and_absent(dataset, network, stage):
    items = EndlessItems(dataset, network, replace(stage, keep_all=0.0), seed=1)
    drawn = set()
    for position in range(24):
        item = items[position]
        drawn.add(tuple(item.present))
        for name, is_present in zip(network.modality_names, item.present, strict=True):
            assert item.rasters[name].dtype == np.float32
            assert item.rasters[name].any() == is_present, name
    assert len(drawn) > 3


@pytest.mark.parametrize('keep_all', [0.0, 1.0])
def test_what_a_sample_lacks_stays_absent(network, stage, keep_all):
    only_lidar = ToyDataset(lacking=('camera', 'event'))
    items = EndlessItems(only_lidar, network, replace(stage, keep_all=keep_all), seed=1)
    for position in range(12):  # the draws that leave nothing are not taken
        item = items[position]
        assert item.present.tolist() == [False, False, True]
        assert item.rasters['lidar'].any()
        assert not item.rasters['camera'].any()


def test_only_sparse_rasters_keep_their_values(dataset, network, stage):
    shrunk = replace(stage, augmentation=replace(STILL, scale=(1.3, 1.3)))
    camera, event, lidar = network.modalities
    aligned = replace(lidar, encoding=AlignedImageEncoding('float32', 'nearest'))
    for spec in (lidar, aligned):
        config = replace(network, modalities=(camera, event, spec))
        items, changed = EndlessItems(dataset, config, shrunk, seed=1), set()
        for position in range(8):
            sparse = dataset[_index_of(items, position)].rasters
            for name, raster in items[position].rasters.items():
                if not np.isin(raster, sparse[name]).all():
                    changed.add(name)
        assert changed == {'camera'}


def test_items_hold_what_the_sample_holds(dataset, network):
    sample = dataset[3]
    item = as_item(sample, network)
    assert list(item.rasters) == list(network.modality_names)
    for name, raster in sample.rasters.items():
        assert np.array_equal(item.rasters[name], raster)
    batch = collate([item, item])
    assert batch.rasters['lidar'].shape == (2, 64, 128, 3)
    assert batch.labels.dtype == torch.uint8
    assert batch.present.tolist() == [[True] * 3] * 2
    assert_equal(batch.to(torch.device('cpu')), batch)


def test_presence_is_never_empty_and_as_often_whole_as_asked():
    rng = np.random.default_rng(0)
    drawn = np.stack([random_presence(3, 0.4, rng) for _ in range(4000)])
    assert drawn.any(1).all()
    # 0.4 on purpose, and one of the seven subsets in the other draws.
    assert drawn.all(1).mean() == pytest.approx(0.4 + 0.6 / 7, abs=0.03)
    assert len(np.unique(drawn, axis=0)) == 7
    assert all(random_presence(3, 1.0, rng).all() for _ in range(10))


def _index_of(items: EndlessItems, position: int) -> int:
    return int(items._order_of(position // 8)[position % 8])
