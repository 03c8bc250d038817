"""What scoring a frame costs, part by part: processor time of one thread, made-up frames.

python benchmarks/scoring.py --out scoring.json
"""

import argparse
from collections.abc import Callable
from itertools import pairwise
import json
from pathlib import Path
import time

import cv2
from lidar_kernels import CAMERA_FROM_LIDAR, FULL_HD, street
from mle_sam_ros.core.boundary import boundary_overlap
from mle_sam_ros.core.distance_bands import overlap_by_distance
from mle_sam_ros.core.manifest import Manifest, parse_manifest
from mle_sam_ros.core.metrics import CalibrationError, ConfusionMatrix
from mle_sam_ros.core.sweep import whole
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.ranges import ranges_of
from mle_sam_ros.replay.score.steadiness import Steadiness
from mle_sam_ros.replay.score.tallies import DISTANCES_M
import numpy as np

NUM_FRAMES = 10
PERIOD_NS = 50_000_000
SIZES_HW = {'640 x 320': (320, 640), '1280 x 720': (720, 1280)}


def frames(size_hw: tuple[int, int]) -> list[Frame]:
    """A textured view that moves to the side, of blobs of eleven classes; half the sweeps new."""
    random = np.random.default_rng(0)
    height, width = size_hw
    blobs = random.integers(0, 11, (height // 40, width // 40), np.uint8)
    truth = cv2.resize(blobs, (width, height), interpolation=cv2.INTER_NEAREST)
    image = cv2.GaussianBlur(random.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 4)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    confidence = cv2.GaussianBlur(random.integers(0, 256, size_hw, np.uint8), (0, 0), 2)
    cloud, camera = street(65_536), FULL_HD.scaled_to(size_hw)
    weights = np.full((3, 3), 1 / 3, np.float32)
    made = []
    for index in range(NUM_FRAMES):
        seen = np.roll(truth, 4 * index, axis=1)
        mask = np.roll(seen, 3, axis=0)
        pose = CAMERA_FROM_LIDAR.copy()
        pose[0, 3] = 0.01 * (index // 2)
        made.append(
            Frame(
                index * PERIOD_NS, mask, confidence, frozenset({'camera', 'event', 'lidar'}),
                weights, 10.0, {'infer': 8.0}, seen, np.roll(image, 4 * index, axis=1),
                sweeps=(whole('lidar', cloud, pose),), camera=camera,
            )
        )  # fmt: skip
    return made


def parts(manifest: Manifest, made: list[Frame]) -> dict[str, Callable[[], object]]:
    """What is timed, over all frames."""
    num_classes = len(manifest.classes)

    def each(score: Callable[[Frame], object]) -> Callable[[], object]:
        return lambda: [score(frame) for frame in made]

    def distance(frame: Frame) -> None:
        pixels, num_bands = ranges_of(frame, manifest), len(DISTANCES_M)
        overlap_by_distance(frame.truth, frame.label_map, pixels, num_bands, num_classes)

    def confidence(frame: Frame) -> None:
        CalibrationError().update(frame.truth, frame.label_map, frame.confidence)

    def classes(frame: Frame) -> None:
        ConfusionMatrix(num_classes).update(frame.truth, frame.label_map)

    def whole_score() -> None:
        evaluation = Evaluation(manifest)
        for frame in made:
            evaluation.add(frame)

    def steadiness() -> None:
        steady = Steadiness(num_classes)
        for before, now in pairwise(made):
            steady.compare(before, now)

    return {
        'all': whole_score,
        'boundary IoU': each(
            lambda frame: boundary_overlap(frame.truth, frame.label_map, num_classes)
        ),
        'temporal consistency': steadiness,
        'distance bands': each(distance),
        'classes': each(classes),
        'confidence': each(confidence),
    }


def best_ms(work: Callable[[], object], rounds: int) -> float:
    """Of one frame, in the best of several rounds."""
    work()
    best = np.inf
    for _ in range(rounds):
        start = time.thread_time()
        work()
        best = min(best, time.thread_time() - start)
    return round(1e3 * best / NUM_FRAMES, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', type=Path, default=Path('engines/nano'))
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--out', type=Path)
    options = parser.parse_args()
    path = options.bundle / 'manifest.json'
    manifest = parse_manifest(json.loads(path.read_text(encoding='utf-8')), str(path))
    cv2.setNumThreads(1)
    figures = {
        size: {
            name: best_ms(work, options.rounds)
            for name, work in parts(manifest, frames(size_hw)).items()
        }
        for size, size_hw in SIZES_HW.items()
    }
    text = json.dumps({'ms per frame': figures}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
