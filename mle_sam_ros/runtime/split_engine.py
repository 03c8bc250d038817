"""What engines share: encoders that fill buffers, and a decoder that reads them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter_ns

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.bundle import Bundle, FUSE_DECODE, graph_file, Precision
from mle_sam_ros.runtime.contract import (
    check_graphs,
    check_request,
    FEATURE_DTYPES,
    Signature,
)
from mle_sam_ros.runtime.encoder_choice import EncoderChoice
import numpy as np


class SplitEngine(EncoderChoice, ABC):
    """Runs the encoders of the modalities that are present one after another, then the rest.

    The encoders write into their slots of buffers that the decoder reads; a slot whose modality is
    absent keeps old values, which the graph blanks. As one batch they were no faster on processors
    (nano, one and two threads): the stacked graph of a bundle is left alone.

    Attributes:
        description: what runs the bundle, for people.
        precision: of its arithmetic.
        reuse_features: as in `proof.DescribedEngine`.
        is_stacked: False.
    """

    description: str
    precision: Precision

    def __init__(self, bundle: Bundle, precision: Precision) -> None:
        """Load the graphs and check them against the manifest.

        Args:
            bundle: to run.
            precision: of the graphs to take.

        Raises:
            InputError: for a graph that cannot be loaded, or is not what the manifest says.
        """
        super().__init__()
        self.precision = precision
        self._names = bundle.manifest.modality_names

        def load(graph: str) -> tuple[Signature, Signature, str]:
            path = bundle.path(graph_file(graph, precision))
            return *self._load_graph(graph, path), str(path)

        self._specs, shapes = check_graphs(load, bundle.manifest, precision)
        dtype = FEATURE_DTYPES[precision]
        self._features = [np.zeros((len(self._names), *shape), dtype) for shape in shapes]

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`."""
        check_request(rasters, present, self._specs)
        timings_ms = {}
        for graph, (name,) in self._to_run(rasters, self._names, present).items():
            start_ns = perf_counter_ns()
            with self._encoding((name,), rasters):
                self._encode(name, rasters[name])
            timings_ms[graph] = (perf_counter_ns() - start_ns) / 1e6
        start_ns = perf_counter_ns()
        answer = self._decode(np.array([name in present for name in self._names]))
        timings_ms[FUSE_DECODE] = (perf_counter_ns() - start_ns) / 1e6
        return Inference(*answer, timings_ms)

    def features(self, name: str) -> list[np.ndarray]:
        """What a modality's encoder said last, (1, C, h, w) by level."""
        index = self._names.index(name)
        return [features[index : index + 1].copy() for features in self._features]

    @abstractmethod
    def _load_graph(self, graph: str, path: Path) -> tuple[Signature, Signature]:
        """Load a graph; gives the signatures of its inputs and of its outputs."""

    @abstractmethod
    def _encode(self, name: str, raster: np.ndarray) -> None:
        """Fill the modality's slots of `_features` from its (H, W, 3) raster."""

    @abstractmethod
    def _decode(self, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Label map, confidence and router weights of `_features`, for (M,) bool present."""
