"""An engine that takes no time, to measure all that is around engines."""

from typing import Any

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.bundle import Bundle
import numpy as np


class NullEngine:
    """Answers at once, and always the same.

    Attributes:
        label_map: (H, W) uint8, the answer: class 0 everywhere, unless it is replaced.
        confidence: (H, W) uint8, likewise.
    """

    description = 'nothing'
    precision = 'fp32'
    reuse_features = False
    is_stacked = False

    def __init__(self, bundle: Bundle) -> None:
        """Prepare the answer."""
        self._names = bundle.manifest.modality_names
        self._levels = bundle.manifest.router.levels
        self.label_map = self.confidence = np.zeros(bundle.manifest.input_hw, np.uint8)

    def infer(self, rasters: dict[str, np.ndarray], present: frozenset[str]) -> Inference:
        """The answer; the sensors present share the weight."""
        weights = np.array([[name in present for name in self._names]] * self._levels, np.float32)
        return Inference(self.label_map, self.confidence, weights / len(present), {})


def open_null_engine(bundle: Bundle, *_: Any) -> NullEngine:
    """Stands in for `runtime.engine.open_engine`."""
    return NullEngine(bundle)
