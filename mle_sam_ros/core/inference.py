"""What an engine is to the pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class Inference:
    """What an engine says of one instant.

    Attributes:
        label_map: (H, W) uint8 class ids at the network's size.
        confidence: (H, W) uint8, 255 times the probability of the class chosen.
        router_weights: (levels, M) float32; absent modalities have weight 0, rows add up to 1.
        timings_ms: milliseconds by part.
    """

    label_map: np.ndarray
    confidence: np.ndarray
    router_weights: np.ndarray
    timings_ms: dict[str, float]


class Engine(Protocol):
    """Something that runs a bundle. Calls come from one thread and block until the result."""

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant.

        Args:
            rasters: modality to (H, W, 3) raster of the manifest's encoding; only those present
                are read.
            present: at least one of the manifest's modalities.

        Raises:
            InputError: for an unknown modality, a raster of the wrong shape or dtype, or an empty
                `present`.
        """
        ...
