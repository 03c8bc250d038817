"""The score is that of all pixels together, worked out here by hand."""

from bundles import CLASSES, manifest_mapping
from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.evaluation import Evaluation
from mle_sam_ros.replay.frame import Frame
import numpy as np
import pytest

ALL = frozenset({'camera', 'event', 'lidar'})
MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')


def frame(label_map, truth, present=ALL, weights=(0.5, 0.25, 0.25), latency_ms=10.0, **timings):
    label_map = np.array(label_map, np.uint8)
    return Frame(
        stamp_ns=0,
        label_map=label_map,
        confidence=np.full(label_map.shape, 255, np.uint8),
        present=present,
        router_weights=np.array([weights] * 3, np.float32),
        latency_ms=latency_ms,
        timings_ms=timings,
        truth=None if truth is None else np.array(truth, np.uint8),
    )


def test_one_matrix_over_all_frames():
    evaluation = Evaluation(MANIFEST)
    evaluation.add(frame([[0, 0, 0, 0]], [[0, 0, 0, 1]]))
    evaluation.add(frame([[1, 255]], [[1, 1]], present=frozenset({'camera'}), weights=(1, 0, 0)))
    evaluation.add(frame([[7, 7]], None))
    metrics = evaluation.metrics(FrameAccount(received=3, emitted=3).to_mapping(), 4)
    # road: 3 right of 4; road_line: 1 right of 3; the frame without ground truth does not count.
    assert metrics['iou']['road'] == 0.75
    assert metrics['iou']['road_line'] == pytest.approx(1 / 3, abs=1e-6)
    assert all(metrics['iou'][name] is None for name in CLASSES[2:])
    assert metrics['miou'] == pytest.approx((0.75 + 1 / 3) / 2, abs=1e-6)
    assert metrics['miou_absent_as_zero'] == pytest.approx((0.75 + 1 / 3) / 11, abs=1e-6)
    assert metrics['pixel_accuracy'] == pytest.approx(4 / 6, abs=1e-6)
    assert metrics['frames_scored'] == 2
    assert metrics['frames_without_mask'] == 4
    assert {key: score['frames_scored'] for key, score in metrics['subsets'].items()} == {
        'camera+event+lidar': 1,
        'camera': 1,
    }
    assert metrics['subsets']['camera']['iou']['road_line'] == 0.5
    assert metrics['router_weights']['level_2'] == {
        'camera': pytest.approx(2 / 3, abs=1e-6),
        'event': pytest.approx(1 / 6, abs=1e-6),
        'lidar': pytest.approx(1 / 6, abs=1e-6),
    }
    assert np.isnan([moment.miou for moment in evaluation.moments]).tolist() == [
        False,
        False,
        True,
    ]


def test_percentiles_of_each_stage():
    evaluation = Evaluation(MANIFEST)
    for value in range(101):
        evaluation.add(frame([[0]], None, latency_ms=value, infer=2.0 * value))
    assert evaluation.latency_ms() == {
        'p50': 50,
        'p95': 95,
        'p99': 99,
        'stages': {'infer': {'p50': 100, 'p95': 190, 'p99': 198}},
    }


def test_a_drive_without_masks():
    evaluation = Evaluation(MANIFEST)
    metrics = evaluation.metrics(FrameAccount().to_mapping(), 5)
    assert metrics['miou'] is None
    assert metrics['subsets'] == metrics['router_weights'] == {}
    assert evaluation.latency_ms() == {}
