"""Results of replays made up block by block, for comparisons."""

import json
from pathlib import Path

import numpy as np

CLASSES = ('road', 'pole', 'person')
SECOND = 1_000_000_000
START_NS = 1_700_000_000 * SECOND


def blocks_of(counts: np.ndarray, bag: str = 'a' * 64) -> list[dict]:
    """Of (n, 3, K) hits, truth, predicted."""
    return [
        {
            'bag': bag,
            'start_ns': START_NS + index * SECOND,
            'frames': 20,
            'hits': hits.tolist(),
            'truth': truth.tolist(),
            'predicted': predicted.tolist(),
        }
        for index, (hits, truth, predicted) in enumerate(counts)
    ]


def random_counts(seed: int, num_blocks: int, hit_rate=0.8) -> np.ndarray:
    """(n, 3, K) of a drive whose blocks differ much in what they show, and little in the rate."""
    random = np.random.default_rng(seed)
    truth = random.integers(500, 5000, (num_blocks, len(CLASSES)))
    rate = np.clip(hit_rate + random.normal(0, 0.1, truth.shape), 0, 1)
    hits = random.binomial(truth, rate)
    predicted = hits + random.integers(0, 500, truth.shape)
    return np.stack([hits, truth, predicted], axis=1)


def results(counts: np.ndarray, **changes) -> dict:
    """Content of a `metrics.json`."""
    hits, truth, predicted = counts.sum(axis=0)
    iou = hits / (truth + predicted - hits)
    return {
        'schema': 'mle_sam_ros/metrics/1',
        'bags': [{'name': 'drive.mcap', 'sha256': 'a' * 64, 'conditions': ['night']}],
        'bundle': {'name': 'nano', 'revision': 'abc', 'sha256': '1' * 64},
        'software': {'numpy': '2.0'},
        'arguments': {'drop': [], 'backend': 'onnx', 'rig': {'motion': 'none', 'num_lidars': 1}},
        'classes': list(CLASSES),
        'miou': round(float(iou.mean()), 6),
        'iou': dict(zip(CLASSES, iou.round(6).tolist(), strict=True)),
        'pixel_accuracy': round(float(hits.sum() / truth.sum()), 6),
        'boundary_iou': {'mean': 0.41, 'iou': {'road': 0.4, 'pole': None}, 'width': 0.02},
        'calibration': {'error': 0.031, 'bins': [{'from': 0.0, 'to': 1.0, 'pixels': 9}]},
        'distance_bands': [
            {'from_m': 0, 'to_m': 10, 'miou': 0.6},
            {'from_m': 80, 'to_m': None, 'miou': 0.2},
        ],
        'temporal_consistency': {'pairs': 3, 'miou': 0.77, 'miou_of_truth': 0.9},
        'subsets': {'camera+event+lidar': {'miou': 0.7, 'iou': {}, 'frames_scored': 20}},
        'conditions': {'night': {'miou': 0.5, 'subsets': {'camera': {'miou': 0.4}}}},
        'frames_scored': 20 * len(counts),
        'frames_without_mask': 0,
        'frames': {'received': 20, 'emitted': 20, 'rejected': {}},
        'blocks': blocks_of(counts),
        **changes,
    }


def latencies(scale: float = 1.0) -> dict:
    """Content of a `latency.json`."""
    percentiles = {'p50': 50.0 * scale, 'p95': 80.0 * scale, 'p99': 120.0 * scale}
    return {
        'schema': 'mle_sam_ros/latency/1',
        'total': {**percentiles, 'histogram': {'17': 3}},
        'stages': {'infer': {**percentiles, 'histogram': {'17': 3}}},
    }


def write_results(directory: Path, metrics: dict, latency: dict | None = None) -> Path:
    """Write both files; the path of the first."""
    directory.mkdir(exist_ok=True)
    path = directory / 'metrics.json'
    path.write_text(json.dumps(metrics))
    if latency is not None:
        (directory / 'latency.json').write_text(json.dumps(latency))
    return path
