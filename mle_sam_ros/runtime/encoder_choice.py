"""Which encoders an instant needs: none for what is encoded already, one for all where it pays."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mle_sam_ros.runtime.bundle import ALL_ENCODERS, encoder_graph
import numpy as np


class EncoderChoice:
    """What an engine whose features stay in its buffers needs to know of them.

    Attributes:
        reuse_features: as in `proof.DescribedEngine`.
        is_stacked: as in `proof.DescribedEngine`.
    """

    reuse_features = False
    is_stacked = False

    def __init__(self) -> None:
        self._encoded: dict[str, np.ndarray] = {}

    def _to_run(
        self, rasters: Mapping[str, np.ndarray], names: tuple[str, ...], present: frozenset[str]
    ) -> dict[str, tuple[str, ...]]:
        """The encoder graphs to run, and the modalities that each encodes.

        Args:
            rasters: of those that are present.
            names: of all modalities, in the manifest's order.
            present: those to encode, unless their features are in the buffers.
        """
        lacking = tuple(
            name
            for name in names
            if name in present
            and not (self.reuse_features and self._encoded.get(name) is rasters[name])
        )
        if self.is_stacked and lacking == names:
            return {ALL_ENCODERS: names}
        return {encoder_graph(name): (name,) for name in lacking}

    @contextmanager
    def _encoding(
        self, names: tuple[str, ...], rasters: Mapping[str, np.ndarray]
    ) -> Iterator[None]:
        """Around what fills their buffers; where that fails, these hold nothing of use."""
        for name in names:
            self._encoded.pop(name, None)
        yield
        self._encoded.update((name, rasters[name]) for name in names)
