"""A bundle on the processor with ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, encoder_graph, FUSE_DECODE, Precision
from mle_sam_ros.runtime.contract import FEATURE_NAMES, Signature
from mle_sam_ros.runtime.split_engine import SplitEngine
import numpy as np
import onnxruntime

_DTYPES: dict[str, str] = {
    'tensor(uint8)': 'uint8',
    'tensor(float)': 'float32',
    'tensor(float16)': 'float16',
    'tensor(bool)': 'bool',
}


class OnnxEngine(SplitEngine):
    """Runs a bundle with ONNX Runtime; see `SplitEngine`."""

    def __init__(self, bundle: Bundle, threads: int, precision: Precision = 'fp32') -> None:
        """Load the graphs.

        Args:
            bundle: to run.
            threads: number of threads that share the work of one graph.
            precision: of the graphs to take.

        Raises:
            InputError: for a graph that cannot be loaded, or is not what the manifest says.
        """
        self.description = f'ONNX Runtime {onnxruntime.__version__} {precision}, {threads} threads'
        self._threads = threads
        self._sessions: dict[str, onnxruntime.InferenceSession] = {}
        super().__init__(bundle, precision)
        self._bindings = {
            name: self._encoder_binding(name, index) for index, name in enumerate(self._names)
        }

    def _load_graph(self, graph: str, path: Path) -> tuple[Signature, Signature]:
        self._sessions[graph] = _load(path, self._threads)
        return _signatures(self._sessions[graph])

    def _encode(self, name: str, raster: np.ndarray) -> None:
        binding = self._bindings[name]
        binding.bind_cpu_input('raster', np.ascontiguousarray(raster)[None])
        self._sessions[encoder_graph(name)].run_with_iobinding(binding)

    def _decode(self, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        features = dict(zip(FEATURE_NAMES, self._features, strict=False))
        label_map, confidence, router_weights = self._sessions[FUSE_DECODE].run(
            ['label_map', 'confidence', 'router_weights'], {**features, 'present': present}
        )
        return label_map, confidence, router_weights

    def _encoder_binding(self, name: str, index: int) -> onnxruntime.IOBinding:
        binding = self._sessions[encoder_graph(name)].io_binding()
        for feature_name, features in zip(FEATURE_NAMES, self._features, strict=False):
            slot = features[index : index + 1]
            binding.bind_output(
                feature_name, 'cpu', 0, slot.dtype.type, slot.shape, slot.ctypes.data
            )
        return binding


def _load(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    # Every graph has threads of its own: spinning, those that are done would slow the next one.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        return onnxruntime.InferenceSession(str(path), options, ['CPUExecutionProvider'])
    except Exception as error:  # the library has no common base for its exceptions
        raise InputError(
            f'{path}: expected a graph that ONNX Runtime {onnxruntime.__version__} can load, got '
            f'{str(error).rpartition(":")[2].strip()[:100]!r}; copy or export the bundle again'
        ) from None


def _signatures(session: onnxruntime.InferenceSession) -> tuple[Signature, Signature]:
    def of(tensors: Sequence[Any]) -> Signature:
        return {
            tensor.name: (tuple(tensor.shape), _DTYPES.get(tensor.type, tensor.type))
            for tensor in tensors
        }

    return of(session.get_inputs()), of(session.get_outputs())
