"""One instant on its way from the sensors to the engine."""

from collections.abc import Mapping
from dataclasses import dataclass

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.rig import Mounts
from mle_sam_ros.core.sweep import Sweep
import numpy as np


@dataclass(frozen=True, eq=False)
class Instant:
    """What the engine needs of one instant, and all else that is known of it by then.

    Attributes:
        stamp_ns: the camera frame's stamp, or, camera absent, where its next frame was due.
        has_frame: whether a camera frame was received for it, usable or not.
        frame_id: the camera's optical frame.
        size_hw: (height, width) of the masks to be made.
        rasters: by modality that takes part, what the network is to see.
        ages_ns: as in `Prediction`, as is what follows.
        faults: why streams that could have taken part do not.
        image: (H, W, 3) uint8 camera image, or None.
        camera: at the size of its images, where known.
        mounts: of `Rig.mounts`.
        sweeps: that take part.
        depth_m: (h, w) float32 depth image that takes part, metres along the optical axis, NaN
            where unknown; None where there is none, or it came as finished HHA.
        timings_ms: by stage so far.
    """

    stamp_ns: int
    has_frame: bool
    frame_id: str
    size_hw: tuple[int, int]
    rasters: Mapping[str, np.ndarray]
    ages_ns: Mapping[str, int]
    faults: Mapping[str, str]
    image: np.ndarray | None
    camera: CameraModel | None
    mounts: Mounts
    sweeps: tuple[Sweep, ...]
    depth_m: np.ndarray | None
    timings_ms: Mapping[str, float]
