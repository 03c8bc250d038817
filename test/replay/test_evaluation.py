"""The score is that of all pixels together, worked out here by hand."""

from bundles import CLASSES, manifest_mapping
from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.score.conditions import Conditions, Span
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.scores import scores
import numpy as np
import pytest

ALL = frozenset({'camera', 'event', 'lidar'})
MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')
SECOND = 1_000_000_000


def frame(label_map, truth, present=ALL, weights=(0.5, 0.25, 0.25), stamp_ns=0, **fields):
    label_map = np.array(label_map, np.uint8)
    return Frame(
        stamp_ns=stamp_ns,
        label_map=label_map,
        confidence=np.full(label_map.shape, 255, np.uint8),
        present=present,
        router_weights=np.array([weights] * 3, np.float32),
        latency_ms=10.0,
        timings_ms={'infer': 8.0},
        truth=None if truth is None else np.array(truth, np.uint8),
        **fields,
    )


def metrics_of(evaluation, account=None, frames_without_mask=0, faults=None):
    frames = (account or FrameAccount()).to_mapping()
    return scores(evaluation.tallies('bag', frames, faults or {}, frames_without_mask))


def test_one_matrix_over_all_frames():
    evaluation = Evaluation(MANIFEST)
    evaluation.add(frame([[0, 0, 0, 0]], [[0, 0, 0, 1]]))
    evaluation.add(frame([[1, 255]], [[1, 1]], present=frozenset({'camera'}), weights=(1, 0, 0)))
    evaluation.add(frame([[7, 7]], None))
    metrics = metrics_of(evaluation, FrameAccount(received=3, emitted=3), 4)
    # road: 3 right of 4; road_line: 1 right of 3; the frame without ground truth does not count.
    assert metrics['iou']['road'] == 0.75
    assert metrics['iou']['road_line'] == pytest.approx(1 / 3, abs=1e-6)
    assert all(metrics['iou'][name] is None for name in CLASSES[2:])
    assert metrics['miou'] == pytest.approx((0.75 + 1 / 3) / 2, abs=1e-6)
    assert metrics['miou_absent_as_zero'] == pytest.approx((0.75 + 1 / 3) / 11, abs=1e-6)
    assert metrics['pixel_accuracy'] == pytest.approx(4 / 6, abs=1e-6)
    assert metrics['frames_scored'] == 2
    assert metrics['frames_without_mask'] == 4
    assert metrics['frames']['received'] == 3
    assert {key: score['frames_scored'] for key, score in metrics['subsets'].items()} == {
        'camera+event+lidar': 1,
        'camera': 1,
    }
    assert metrics['subsets']['camera']['iou']['road_line'] == 0.5
    means = {name: item['mean'] for name, item in metrics['router_weights']['level_2'].items()}
    assert means == {
        'camera': pytest.approx(2 / 3, abs=1e-6),
        'event': pytest.approx(1 / 6, abs=1e-6),
        'lidar': pytest.approx(1 / 6, abs=1e-6),
    }
    assert np.isnan([moment.miou for moment in evaluation.moments]).tolist() == [
        False,
        False,
        True,
    ]


def test_a_frame_counts_in_every_condition_that_holds():
    conditions = Conditions(
        [
            Span('condition', 'night'),
            Span('failure', 'blur', 1.0, 2.0),
            Span('injected', 'late', 9),
        ],
        start_ns=5 * SECOND,
    )
    evaluation = Evaluation(MANIFEST, conditions)
    evaluation.add(frame([[0, 0]], [[0, 1]], stamp_ns=5 * SECOND))
    moment = evaluation.add(frame([[1, 1]], [[1, 1]], stamp_ns=6 * SECOND))
    assert moment.conditions == ('blur', 'night')
    evaluation.add_subset({'camera'}, np.uint8([[0, 1]]), np.uint8([[1, 1]]))
    metrics = metrics_of(evaluation)
    by_name = metrics['conditions']
    assert [by_name[name]['frames'] for name in ('blur', 'late', 'night')] == [1, 0, 2]
    assert by_name['blur']['miou'] == 1
    assert by_name['late']['miou'] is None
    assert by_name['night']['miou'] == metrics['miou']
    assert by_name['blur']['subsets']['camera']['iou']['road_line'] == 0.5
    assert by_name['night']['subsets'].keys() == {'camera+event+lidar', 'camera'}
    assert by_name['late']['subsets'] == by_name['late']['router_weights'] == {}


def test_blocks_are_seconds_of_absolute_time():
    evaluation = Evaluation(MANIFEST)
    for stamp_ns in (7 * SECOND - 1, 7 * SECOND, 7 * SECOND + 5, 9 * SECOND):
        evaluation.add(frame([[0, 1]], [[0, 0]], stamp_ns=stamp_ns))
    evaluation.add(frame([[0, 1]], None, stamp_ns=12 * SECOND))
    blocks = metrics_of(evaluation)['blocks']
    assert [(block['start_ns'] // SECOND, block['frames']) for block in blocks] == [
        (6, 1),
        (7, 2),
        (9, 1),
    ]
    assert [blocks[1][key][:2] for key in ('hits', 'truth', 'predicted')] == [
        [2, 0],
        [4, 0],
        [2, 2],
    ]


def test_the_timeline_tells_what_was_not_there():
    conditions = Conditions([Span('failure', 'blur', 0.5, 0.7)], start_ns=SECOND)
    evaluation = Evaluation(MANIFEST, conditions)
    without = ALL - {'lidar'}
    for tenth, present in ((0, ALL), (1, without), (2, without), (3, ALL), (9, without)):
        stamp_ns = SECOND + tenth * SECOND // 10
        evaluation.add(frame([[0]], None, present=present, stamp_ns=stamp_ns))
    assert evaluation.seconds == 0.9
    assert evaluation.timeline() == [
        {'kind': 'absent', 'name': 'lidar', 'from_s': 0.1, 'to_s': 0.3},
        {'kind': 'no_mask', 'name': 'no mask', 'from_s': 0.3, 'to_s': 0.9},
        {'kind': 'failure', 'name': 'blur', 'from_s': 0.5, 'to_s': 0.7},
        {'kind': 'absent', 'name': 'lidar', 'from_s': 0.9, 'to_s': 0.9},
    ]


def test_a_drive_without_masks():
    evaluation = Evaluation(MANIFEST)
    metrics = metrics_of(evaluation, frames_without_mask=5)
    assert metrics['miou'] is metrics['miou_absent_as_zero'] is None
    assert metrics['calibration']['error'] is metrics['boundary_iou']['mean'] is None
    assert metrics['temporal_consistency']['miou'] is None
    assert metrics['subsets'] == metrics['router_weights'] == {}
    assert metrics['blocks'] == evaluation.timeline() == []
    assert evaluation.latency.to_mapping()['total'] is None
