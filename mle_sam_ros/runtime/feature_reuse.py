"""Encoding a raster once, however many instants it belongs to."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class FeatureReuse:
    """What an engine whose features stay in its buffers needs to know of them.

    Attributes:
        reuse_features: as in `proof.DescribedEngine`.
    """

    reuse_features = False

    def __init__(self) -> None:
        self._encoded: dict[str, np.ndarray] = {}

    def _is_encoded(self, name: str, raster: np.ndarray) -> bool:
        """Whether the features in the modality's buffers are those of this very array."""
        return self.reuse_features and self._encoded.get(name) is raster

    @contextmanager
    def _encoding(self, name: str, raster: np.ndarray) -> Iterator[None]:
        """Around what fills the modality's buffers; where that fails, they hold nothing of use."""
        self._encoded.pop(name, None)
        yield
        self._encoded[name] = raster
