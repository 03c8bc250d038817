"""Compiles every kernel before the first live message, which would otherwise wait for it."""

from typing import Any

from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.cloud import PointCloud
from mle_sam_ros.core.depth import GROUND
from mle_sam_ros.core.deskew import compile_kernels as compile_sweep_kernels
from mle_sam_ros.core.event_decoder import compile_kernels as compile_event_kernels
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.labelled_cloud import compile_kernels as compile_labelling_kernels
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    EventEncoding,
    LidarEncoding,
    Manifest,
)
from mle_sam_ros.core.projection import Projection
import numpy as np


def warm_up(manifest: Manifest) -> None:
    """Decode and project made-up data of each modality; slow once, cached on disk after that."""
    camera = CameraModel((8, 8), np.array([[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]), np.zeros(5))
    names = manifest.modality_names
    calibration = Calibration(
        {'camera': camera, 'event': camera}, {name: np.eye(4) for name in (*names, GROUND)}
    )
    projection = Projection(manifest, calibration)
    for modality in manifest.modalities:
        if isinstance(modality.encoding, EventEncoding):
            compile_event_kernels()
            data: Any = Events(
                np.ones(1, np.uint16),
                np.ones(1, np.uint16),
                np.ones(1, np.int64),
                np.ones(1, np.uint8),
            )
        elif isinstance(modality.encoding, LidarEncoding):
            compile_sweep_kernels()
            compile_labelling_kernels()
            data = PointCloud(np.full((1, 3), 2, np.float32), np.ones(1, np.float32))
        elif isinstance(modality.encoding, AlignedImageEncoding):
            data = np.zeros((8, 8, 3), modality.encoding.dtype)
        elif isinstance(modality.encoding, DepthHhaEncoding):
            data = np.ones((8, 8), np.float32)
        else:
            data = np.zeros((8, 8, 3), np.uint8)
        projection.raster(modality.name, data)
