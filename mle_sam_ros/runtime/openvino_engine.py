"""A bundle on the processor with OpenVINO."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.bundle import Bundle, encoder_name, FUSE_DECODE_NAME
from mle_sam_ros.runtime.contract import (
    check_encoder,
    check_fuse_decode,
    check_request,
    FEATURE_NAMES,
    Signature,
)
import numpy as np
import openvino
from openvino.frontend import FrontEndManager

_DTYPES: dict[str, str] = {'u8': 'uint8', 'f32': 'float32', 'boolean': 'bool'}


class OpenvinoEngine:
    """Runs the encoders of the modalities that are present one after another, then the rest.

    The encoders write into their slots of buffers that the decoder reads; a slot whose modality is
    absent keeps old values, which the graph blanks.

    Attributes:
        description: what runs the bundle, for people.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        """Load the graphs.

        Args:
            bundle: to run.
            threads: number of threads that share the work of one graph.

        Raises:
            InputError: for a graph that cannot be loaded, or is not what the manifest says.
        """
        version = openvino.get_version().split('-')[0]
        self.description = f'OpenVINO {version}, {threads} threads'
        self._names = bundle.manifest.modality_names
        self._requests, self._specs = {}, {}
        shapes: list[tuple[int, ...]] = []
        for name in self._names:
            path = bundle.path(encoder_name(name))
            graph, self._requests[name] = _load(path, threads)
            self._specs[name], shapes = check_encoder(
                *_signatures(graph), bundle.manifest, str(path)
            )
        path = bundle.path(FUSE_DECODE_NAME)
        graph, self._decoder = _load(path, threads)
        check_fuse_decode(*_signatures(graph), bundle.manifest, shapes, str(path))
        self._features = [np.zeros((len(self._names), *shape), np.float32) for shape in shapes]
        self._present = np.zeros(len(self._names), np.bool_)
        self._share_buffers()

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`."""
        check_request(rasters, present, self._specs)
        timings_ms = {}
        for name in self._names:
            if name in present:
                start_ns = perf_counter_ns()
                request = self._requests[name]
                # OpenVINO shares only memory that it could write to.
                raster = np.require(rasters[name], requirements=['C', 'W'])
                request.set_tensor('raster', _shared(raster[None]))
                request.infer()
                timings_ms[f'encoder_{name}'] = (perf_counter_ns() - start_ns) / 1e6
        start_ns = perf_counter_ns()
        self._present[:] = [name in present for name in self._names]
        self._decoder.infer()
        label_map, confidence, router_weights = (
            self._decoder.get_tensor(name).data.copy()
            for name in ('label_map', 'confidence', 'router_weights')
        )
        timings_ms['fuse_decode'] = (perf_counter_ns() - start_ns) / 1e6
        return Inference(label_map, confidence, router_weights, timings_ms)

    def _share_buffers(self) -> None:
        for feature_name, features in zip(FEATURE_NAMES, self._features, strict=True):
            for index, name in enumerate(self._names):
                self._requests[name].set_tensor(feature_name, _shared(features[index : index + 1]))
            self._decoder.set_tensor(feature_name, _shared(features))
        self._decoder.set_tensor('present', _shared(self._present))


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
        compiled = openvino.Core().compile_model(graph, 'CPU', settings)
        return graph, compiled.create_infer_request()
    except Exception as error:  # whatever a broken file makes the reader raise
        raise InputError(
            f'{path}: expected a graph that OpenVINO can load, got '
            f'{" ".join(str(error).split())[-100:]!r}; copy or export the bundle again'
        ) from None


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
