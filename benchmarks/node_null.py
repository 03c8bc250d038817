"""The perception node with an engine that takes no time.

python benchmarks/node_null.py --ros-args -p bundle:=engines/nano …
"""

import sys
from typing import Any

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.ros import node
from mle_sam_ros.runtime.bundle import Bundle
import numpy as np


class NullEngine:
    """Answers at once, and always the same."""

    description = 'nothing'

    def __init__(self, bundle: Bundle) -> None:
        """Prepare the answer."""
        manifest = bundle.manifest
        self._names = manifest.modality_names
        self._answer = np.zeros(manifest.input_hw, np.uint8)

    def infer(self, rasters: dict[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Class 0 everywhere; the sensors present share the weight."""
        weights = np.array([[name in present for name in self._names]] * 3, np.float32)
        return Inference(self._answer, self._answer, weights / len(present), {})


def open_null_engine(bundle: Bundle, *_: Any) -> NullEngine:
    """Stands in for `runtime.engine.open_engine`."""
    return NullEngine(bundle)


if __name__ == '__main__':
    node.open_engine = open_null_engine
    sys.exit(node.main())
