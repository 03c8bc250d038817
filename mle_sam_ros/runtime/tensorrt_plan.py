"""A compiled TensorRT file, ready to run."""

from collections.abc import Sequence
import json
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.contract import Signature
from mle_sam_ros.runtime.cuda_runtime import DeviceArray, Event, Graph, PinnedArray, Stream
from mle_sam_ros.runtime.engine_cache import UnreadableEngineError
from mle_sam_ros.runtime.tensorrt_api import DTYPES, ERROR_LOG
import tensorrt

# TensorRT takes tensors only at such addresses.
ALIGNMENT = 256


def names_path(plan: Path) -> Path:
    """The file beside a plan that says what it calls its tensors, where that is not their name.

    It holds a JSON object, name to name in the plan; without it, they are the same.
    """
    return plan.with_suffix('.names.json')


class Plan:
    """A plan with memory for its activations; whoever uses it gives the tensors.

    Attributes:
        inputs: shape and dtype by name.
        outputs: likewise.
        activation_bytes: GPU memory that it takes beside weights and tensors.
    """

    def __init__(self, path: Path, version_compatible: bool = False) -> None:
        """Load a plan whose content was verified.

        Args:
            path: of the file.
            version_compatible: whether it was built so: such a plan carries code of its own.

        Raises:
            UnreadableEngineError: for a plan that this TensorRT cannot load here.
            InputError: without memory to run it.
        """
        self._runtime = tensorrt.Runtime(ERROR_LOG)
        self._runtime.engine_host_code_allowed = version_compatible
        self._engine = self._runtime.deserialize_cuda_engine(path.read_bytes())
        if self._engine is None:
            raise UnreadableEngineError(
                f'{path}: expected a plan that TensorRT {tensorrt.__version__} can load here, got '
                f'{ERROR_LOG.take()!r}; build the engine again'
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise InputError(
                f'{path}: expected GPU memory for what TensorRT {tensorrt.__version__} computes, '
                f'got {ERROR_LOG.take()!r}; free some'
            )
        self.activation_bytes = int(self._engine.device_memory_size_v2)
        names = names_path(path)
        self._names: dict[str, str] = json.loads(names.read_text()) if names.is_file() else {}
        self.inputs = self._signature(is_input=True)
        self.outputs = self._signature(is_input=False)

    def _signature(self, is_input: bool) -> Signature:
        signature, ours = {}, {theirs: name for name, theirs in self._names.items()}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            mode = self._engine.get_tensor_mode(name)
            if (mode == tensorrt.TensorIOMode.INPUT) == is_input:
                dtype = self._engine.get_tensor_dtype(name).name
                shape = tuple(self._engine.get_tensor_shape(name))
                signature[ours.get(name, name)] = (shape, DTYPES.get(dtype, dtype))
        return signature

    def bind(self, name: str, address: int) -> None:
        """Say where a tensor lies on the GPU, for good."""
        if not self._context.set_tensor_address(self._names.get(name, name), address):
            raise RuntimeError(f'TensorRT: tensor {name}: {ERROR_LOG.take()}')

    def check_bound(self) -> None:
        """Raise RuntimeError unless every tensor has its place."""
        if lacking := self._context.infer_shapes():
            raise RuntimeError(f'TensorRT: no memory for {", ".join(lacking)}')

    def enqueue(self, stream: Stream) -> None:
        """Run once in a stream."""
        if not self._context.execute_async_v3(int(stream.handle)):
            raise RuntimeError(f'TensorRT: {ERROR_LOG.take()}')

    def layers(self) -> list[Any]:
        """What TensorRT made of the graph, layer by layer, as its inspector tells it."""
        inspector = self._engine.create_engine_inspector()
        text = inspector.get_engine_information(tensorrt.LayerInformationFormat.JSON)
        return list(json.loads(text).get('Layers', []))


class Lane:
    """A plan on a stream of its own: uploads, the plan, downloads, launched as one CUDA graph.

    Attributes:
        stream: that the plan runs in.
    """

    def __init__(
        self,
        plan: Plan,
        uploads: Sequence[tuple[PinnedArray, DeviceArray]] = (),
        downloads: Sequence[tuple[DeviceArray, PinnedArray]] = (),
    ) -> None:
        """Warm a plan up, whose tensors are all bound, and record it."""
        self.stream = Stream()
        self._begin, self._end = Event(), Event()
        self._plan, self._uploads, self._downloads = plan, uploads, downloads
        plan.check_bound()
        self._enqueue()  # TensorRT loads kernels at first, which cannot be recorded
        self.stream.synchronize()
        self._graph: Graph | None = None
        try:
            self._graph = self.stream.capture(self._enqueue)
        except RuntimeError:
            self.stream.synchronize()

    @property
    def has_graph(self) -> bool:
        """False where TensorRT could not be recorded, and is launched kernel by kernel."""
        return self._graph is not None

    def launch(self, after: Sequence['Lane'] = ()) -> None:
        """Run once, behind the last launches of other lanes."""
        for lane in after:
            lane._end.hold_back(self.stream)
        self._begin.record(self.stream)
        if self._graph:
            self._graph.launch(self.stream)
        else:
            self._enqueue()
        self._end.record(self.stream)

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds that the last launch took on the GPU; it must be over."""
        return self._end.since_ms(self._begin)

    def _enqueue(self) -> None:
        for staging, tensor in self._uploads:
            self.stream.upload(staging, tensor)
        self._plan.enqueue(self.stream)
        for tensor, staging in self._downloads:
            self.stream.download(tensor, staging)
