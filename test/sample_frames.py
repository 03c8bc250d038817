"""Frames of a made-up drive: a road that a box crosses, and sensors that come and go."""

from collections.abc import Iterator

from bundles import manifest_mapping
import cv2
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.frame import Frame
import numpy as np

MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'manifest.json')
SIZE_HW, RASTER_HW = (80, 160), MANIFEST.input_hw


def sample_frames(count: int, period_ns: int = 50_000_000) -> Iterator[Frame]:
    """`count` frames; LiDAR is absent in the second quarter, the camera in the third."""
    random = np.random.default_rng(1)
    for index in range(count):
        quarter = 4 * index // count
        present = frozenset({'camera', 'event', 'lidar'}) - {
            {1: 'lidar', 2: 'camera'}.get(quarter)
        }
        truth = np.full(SIZE_HW, 10, np.uint8)
        truth[35:] = 0
        truth[30:50, index % 120 : index % 120 + 30] = 8
        label_map = np.roll(truth, 2, axis=1)
        image = random.integers(0, 30, (*SIZE_HW, 3), np.uint8) + 4 * truth[:, :, None]
        counts = random.integers(0, 3, (*RASTER_HW, 3), np.uint8)
        ranges = random.uniform(0, 50, (*RASTER_HW, 3)).astype(np.float32)
        rasters = {
            'camera': cv2.resize(image, RASTER_HW[::-1]), 'event': counts, 'lidar': ranges,
        }  # fmt: skip
        weights = np.array([[name in present for name in rasters]] * 3, np.float32)
        yield Frame(
            index * period_ns,
            label_map,
            random.integers(100, 256, SIZE_HW, np.uint8),
            present,
            weights / weights.sum(axis=1, keepdims=True),
            20.0 + index % 7,
            {'project': 2.0, 'infer': 18.0, 'infer/decode': 5.0},
            truth,
            image if 'camera' in present else None,
            {name: raster for name, raster in rasters.items() if name in present},
        )


FRAME = next(sample_frames(1))
