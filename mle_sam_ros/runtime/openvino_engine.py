"""A bundle on the processor with OpenVINO."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, encoder_graph, FUSE_DECODE, Precision
from mle_sam_ros.runtime.contract import FEATURE_NAMES, Signature
from mle_sam_ros.runtime.split_engine import SplitEngine
import numpy as np
import openvino
from openvino.frontend import FrontEndManager

_DTYPES: dict[str, str] = {'u8': 'uint8', 'f16': 'float16', 'f32': 'float32', 'boolean': 'bool'}


class OpenvinoEngine(SplitEngine):
    """Runs a bundle with OpenVINO; see `SplitEngine`."""

    def __init__(self, bundle: Bundle, threads: int, precision: Precision = 'fp32') -> None:
        """Load the graphs.

        Args:
            bundle: to run.
            threads: number of threads that share the work of one graph.
            precision: of the graphs to take.

        Raises:
            InputError: for a graph that cannot be loaded, or is not what the manifest says.
        """
        version = openvino.get_version().split('-')[0]
        self.description = f'OpenVINO {version} {precision}, {threads} threads'
        self._threads = threads
        self._requests: dict[str, openvino.InferRequest] = {}
        super().__init__(bundle, precision)
        self._present = np.zeros(len(self._names), np.bool_)
        self._share_buffers()

    def _load_graph(self, graph: str, path: Path) -> tuple[Signature, Signature]:
        model, self._requests[graph] = _load(path, self._threads)
        return _signatures(model)

    def _encode(self, name: str, raster: np.ndarray) -> None:
        request = self._requests[encoder_graph(name)]
        # OpenVINO shares only memory that it could write to.
        writable = np.require(raster, requirements=['C', 'W'])
        request.set_tensor('raster', _shared(writable[None]))
        request.infer()

    def _decode(self, present: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        self._present[:] = present
        decoder = self._requests[FUSE_DECODE]
        decoder.infer()
        label_map, confidence, router_weights = (
            decoder.get_tensor(name).data.copy()
            for name in ('label_map', 'confidence', 'router_weights')
        )
        return label_map, confidence, router_weights

    def _share_buffers(self) -> None:
        decoder = self._requests[FUSE_DECODE]
        for feature_name, features in zip(FEATURE_NAMES, self._features, strict=False):
            for index, name in enumerate(self._names):
                slot = _shared(features[index : index + 1])
                self._requests[encoder_graph(name)].set_tensor(feature_name, slot)
            decoder.set_tensor(feature_name, _shared(features))
        decoder.set_tensor('present', _shared(self._present))


def _shared(array: np.ndarray) -> openvino.Tensor:
    return openvino.Tensor(array, shared_memory=True)


def _load(path: Path, threads: int) -> tuple[openvino.Model, openvino.InferRequest]:
    """The graph as it was exported (compiling may rename what it takes) and what runs it."""
    settings = {
        'INFERENCE_NUM_THREADS': threads,
        'NUM_STREAMS': 1,
        # Pinned, a thread waits for its own processor while another one is free.
        'ENABLE_CPU_PINNING': False,
        # Processors with bfloat16 would use it unasked.
        'INFERENCE_PRECISION_HINT': 'f32',
    }
    try:
        # `read_model` would try the readers of every other format on a broken file as well.
        reader = FrontEndManager().load_by_framework('onnx')
        graph = reader.convert(reader.load(path))
        compiled = _core().compile_model(graph, 'CPU', settings)
        return graph, compiled.create_infer_request()
    except Exception as error:  # whatever a broken file makes the reader raise
        raise InputError(
            f'{path}: expected a graph that OpenVINO can load, got '
            f'{" ".join(str(error).split())[-100:]!r}; copy or export the bundle again'
        ) from None


@lru_cache
def _core() -> openvino.Core:
    """One for all graphs, and until the process ends.

    On processors with AMX each core gives the thread another stack for signals. Cores that end in
    another order than they began leave one that is no longer there: the next Ctrl-C would crash.
    """
    return openvino.Core()


def _signatures(graph: openvino.Model) -> tuple[Signature, Signature]:
    def of(ports: Sequence[Any]) -> Signature:
        return {
            port.any_name: (
                tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape),
                _DTYPES.get(port.element_type.to_string(), port.element_type.to_string()),
            )
            for port in ports
        }

    return of(graph.inputs), of(graph.outputs)
