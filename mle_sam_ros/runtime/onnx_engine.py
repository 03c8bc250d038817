"""A bundle on the processor with ONNX Runtime."""

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
import onnxruntime

_DTYPES: dict[str, str] = {
    'tensor(uint8)': 'uint8',
    'tensor(float)': 'float32',
    'tensor(bool)': 'bool',
}


class OnnxEngine:
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
        self.description = f'ONNX Runtime {onnxruntime.__version__}, {threads} threads'
        self._names = bundle.manifest.modality_names
        self._sessions, self._specs = {}, {}
        shapes: list[tuple[int, ...]] = []
        for name in self._names:
            path = bundle.path(encoder_name(name))
            session = _load(path, threads)
            self._specs[name], shapes = check_encoder(
                *_signatures(session), bundle.manifest, str(path)
            )
            self._sessions[name] = session
        path = bundle.path(FUSE_DECODE_NAME)
        self._decoder = _load(path, threads)
        check_fuse_decode(*_signatures(self._decoder), bundle.manifest, shapes, str(path))
        self._features = [np.zeros((len(self._names), *shape), np.float32) for shape in shapes]
        self._bindings = {
            name: self._encoder_binding(name, index) for index, name in enumerate(self._names)
        }

    def infer(self, rasters: Mapping[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`."""
        check_request(rasters, present, self._specs)
        timings_ms = {}
        for name in self._names:
            if name in present:
                start_ns = perf_counter_ns()
                binding = self._bindings[name]
                binding.bind_cpu_input('raster', np.ascontiguousarray(rasters[name])[None])
                self._sessions[name].run_with_iobinding(binding)
                timings_ms[f'encoder_{name}'] = (perf_counter_ns() - start_ns) / 1e6
        start_ns = perf_counter_ns()
        label_map, confidence, router_weights = self._decoder.run(
            ['label_map', 'confidence', 'router_weights'],
            {
                **dict(zip(FEATURE_NAMES, self._features, strict=True)),
                'present': np.array([name in present for name in self._names]),
            },
        )
        timings_ms['fuse_decode'] = (perf_counter_ns() - start_ns) / 1e6
        return Inference(label_map, confidence, router_weights, timings_ms)

    def _encoder_binding(self, name: str, index: int) -> onnxruntime.IOBinding:
        binding = self._sessions[name].io_binding()
        for feature_name, features in zip(FEATURE_NAMES, self._features, strict=True):
            slot = features[index : index + 1]
            binding.bind_output(feature_name, 'cpu', 0, np.float32, slot.shape, slot.ctypes.data)
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
