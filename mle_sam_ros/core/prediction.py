"""What the pipeline says of one instant."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.rig import Mounts
from mle_sam_ros.core.sweep import Sweep
import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the pipeline says of one instant.

    Attributes:
        stamp_ns: the camera frame's stamp, or, camera absent, where its next frame was due.
        frame_id: the camera's optical frame.
        label_map: (H, W) uint8 class ids at the size of the camera image.
        confidence: (H, W) uint8, 255 times the probability of the class chosen.
        router_weights: (levels, M) float32, modalities in the manifest's order.
        present: modalities that took part.
        ages_ns: by stream, how much older than the instant its sample was; of a modality of
            several LiDARs, the nearest one's.
        faults: by stream that could have taken part, why it did not, in one line; by the motion's
            source, why a sweep could not be moved to the instant.
        rasters: by modality that took part, what the network saw.
        image: (H, W, 3) uint8 camera image, or None.
        timings_ms: by stage.
        sweeps: that took part, with what takes their points into the camera's frame.
        camera: at the size of its images, where known.
        mounts: of `Rig.mounts`.
        depth_m: (h, w) float32 depth image that took part, metres along the optical axis, NaN
            where unknown; None where there was none, or it came as finished HHA.
    """

    stamp_ns: int
    frame_id: str
    label_map: np.ndarray
    confidence: np.ndarray
    router_weights: np.ndarray
    present: frozenset[str]
    ages_ns: Mapping[str, int]
    faults: Mapping[str, str]
    rasters: Mapping[str, np.ndarray]
    image: np.ndarray | None
    timings_ms: Mapping[str, float]
    sweeps: tuple[Sweep, ...] = ()
    camera: CameraModel | None = None
    mounts: Mounts = field(default_factory=dict)
    depth_m: np.ndarray | None = None
