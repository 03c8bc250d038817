"""Ranges come from the sweep that a frame was made from, or from its depth image."""

from dataclasses import replace

from bundles import manifest_mapping
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.sweep import whole
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.ranges import ranges_of
import numpy as np
from sample_frames import FRAME

MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')
HEIGHT, WIDTH = MANIFEST.input_hw
CAMERA = CameraModel(
    (2 * HEIGHT, 2 * WIDTH),
    np.array([[200.0, 0, WIDTH], [0, 200, HEIGHT], [0, 0, 1]]),
    np.zeros(5),
)


def sweep_of(*points):
    xyz = np.array(points, np.float32)
    return whole('lidar', PointCloud(xyz, np.zeros(len(xyz), np.float32)), np.eye(4))


def test_a_sweep_is_projected_at_the_size_of_the_network():
    frame = replace(FRAME, camera=CAMERA, sweeps=(sweep_of([0, 0, 30], [0.2, 0, 0.5]),))
    height, width = frame.label_map.shape
    pixels = ranges_of(frame, MANIFEST)
    row, column = (HEIGHT // 2 + 0.5) / HEIGHT, (WIDTH // 2 + 0.5) / WIDTH
    assert pixels.indices.tolist() == [int(row * height) * width + int(column * width)]
    assert pixels.bands.tolist() == [2]


def test_depth_serves_without_a_lidar():
    depth_m = np.full((2 * HEIGHT, 2 * WIDTH), np.nan, np.float32)
    depth_m[:HEIGHT] = 12.5
    frame = replace(FRAME, depth_m=depth_m, label_map=np.zeros((HEIGHT, WIDTH), np.uint8))
    pixels = ranges_of(frame, MANIFEST)
    assert pixels.indices.tolist() == list(range(HEIGHT // 2 * WIDTH))
    assert set(pixels.bands.tolist()) == {1}


def test_a_frame_may_have_no_range():
    assert ranges_of(FRAME, MANIFEST) is None
    assert ranges_of(replace(FRAME, sweeps=(sweep_of([0, 0, 30]),)), MANIFEST) is None


def test_a_frame_is_scored_by_its_ranges():
    evaluation = Evaluation(MANIFEST)
    truth = np.zeros(FRAME.label_map.shape, np.uint8)
    sweep = sweep_of([0, 0, 30], [-4, 0, 90], [4, 0, 5])
    evaluation.add(replace(FRAME, label_map=truth, truth=truth, camera=CAMERA, sweeps=(sweep,)))
    account = {'received': 1, 'rejected': {}}
    distance = evaluation.tallies('bag', account, {}, 0).whole.distance
    assert distance[:, 1].sum(axis=1).tolist() == [0, 0, 1, 0, 1]
