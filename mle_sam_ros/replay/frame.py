"""What is scored, drawn and reported: one mask with everything around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.core.sweep import Sweep
import numpy as np


@dataclass(frozen=True, eq=False)
class Frame:
    """One mask, what it was made from, and what it should have been.

    Attributes:
        stamp_ns: of the camera image, or the instant at which it should have come.
        label_map: (H, W) uint8 class ids; 255 is no class.
        confidence: (H, W) uint8, 255 times the probability of the class chosen.
        present: the modalities that the mask was made from.
        router_weights: (levels, M) float32, modalities in the manifest's order.
        latency_ms: from what the run took as the start (replay: the sensor set was complete; node:
            the camera's stamp) to the finished mask.
        timings_ms: milliseconds by stage; `stage/part` is a part of a stage.
        truth: (H, W) uint8 class ids of the ground truth, 255 where unknown; None without any.
        image: (H, W, 3) uint8 camera image; None while the camera is absent.
        rasters: modality to its (h, w, 3) raster at the network's size, only those present.
        ages_ms: by modality that took part, how much older than the instant its sample was.
        faults: by stream that could have taken part, why it did not, in one line.
        sweeps: of LiDARs that took part, with what takes their points into the camera's frame.
        camera: at the size of its images, where known.
        depth_m: (h, w) float32 depth image that took part, metres, NaN where unknown.
    """

    stamp_ns: int
    label_map: np.ndarray
    confidence: np.ndarray
    present: frozenset[str]
    router_weights: np.ndarray
    latency_ms: float
    timings_ms: Mapping[str, float]
    truth: np.ndarray | None = None
    image: np.ndarray | None = None
    rasters: Mapping[str, np.ndarray] = field(default_factory=dict)
    ages_ms: Mapping[str, float] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    sweeps: tuple[Sweep, ...] = ()
    camera: CameraModel | None = None
    depth_m: np.ndarray | None = None


def frame_of(prediction: Prediction, truth: np.ndarray | None) -> Frame:
    """The frame that a prediction of the pipeline makes; its latency is that of the pipeline."""
    stages = prediction.timings_ms
    return Frame(
        prediction.stamp_ns,
        prediction.label_map,
        prediction.confidence,
        prediction.present,
        prediction.router_weights,
        sum(value for stage, value in stages.items() if '/' not in stage),
        stages,
        truth,
        prediction.image,
        prediction.rasters,
        {name: prediction.ages_ns[name] / 1e6 for name in sorted(prediction.present)},
        prediction.faults,
        prediction.sweeps,
        prediction.camera,
        prediction.depth_m,
    )
