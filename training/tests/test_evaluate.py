from mle_sam.evaluate import as_table, evaluate
from mle_sam_ros.core.metrics import ConfusionMatrix
import numpy as np
import pytest
import torch


def test_scores_are_those_of_the_whole_network(model, shards, network):
    scores = evaluate(model, shards)
    assert next(iter(scores)) == 'camera+event+lidar'
    assert len(scores) == 7
    matrix = ConfusionMatrix(network.num_classes)
    present = torch.tensor([[True, False, True]])
    with torch.inference_mode():
        for shard in shards:
            for index, label in enumerate(shard.labels):
                rasters = {
                    name: torch.from_numpy(stack[index][None].astype(np.float32))
                    for name, stack in shard.rasters.items()
                }
                logits = model.logits(model(rasters, present))
                matrix.update(label, logits[0].argmax(0).to(torch.uint8).numpy())
    score = scores['camera+lidar']
    assert score['miou'] == pytest.approx(matrix.miou(), abs=1e-3)
    assert score['moments'] == 8
    assert set(score['by']) == {'day', 'night', 'lidar_jitter'}
    assert list(score['iou']) == ['road', 'building', 'sky']


def test_every_second_moment(model, shards):
    assert evaluate(model, shards, every=2)['camera']['moments'] == 4


def test_table_has_a_row_per_subset_and_dashes_where_nothing_was_seen():
    scores = {
        'camera+lidar': {'miou': 0.615, 'by': {'day': 0.7, 'night': None}},
        'lidar': {'miou': 0.4, 'by': {'day': 0.41}},
    }
    assert as_table(scores).splitlines() == [
        'present        all   day  night',
        'camera+lidar  61.5  70.0      -',
        'lidar         40.0  41.0      -',
    ]
