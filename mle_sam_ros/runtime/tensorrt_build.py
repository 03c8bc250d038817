"""Compiling a bundle's graphs into TensorRT plans; see `build.Builder`.

Precision stands in the graphs (strong typing). Nothing that TensorRT 11 took away is used.
"""

from collections import Counter
from collections.abc import Callable
import hashlib
import json
from pathlib import Path
import threading
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import BuildOptions, Progress
from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME, graph_file, Precision
from mle_sam_ros.runtime.cuda_runtime import describe_gpu
from mle_sam_ros.runtime.engine_cache import EngineCache, write_atomically
from mle_sam_ros.runtime.interruption import deferred_signals
from mle_sam_ros.runtime.tensorrt_api import ERROR_LOG
from mle_sam_ros.runtime.tensorrt_engine import plan_name, TensorrtEngine
from mle_sam_ros.runtime.tensorrt_plan import Plan
import tensorrt

# Files that no ONNX graph reads its weights from.
_NO_WEIGHTS = ('.onnx', '.pt2', GOLDEN_NAME)


def sources(bundle: Bundle, precision: Precision) -> list[str]:
    """The graphs of a precision, and all files that may hold their weights."""
    weights = [name for name in bundle.manifest.files if not name.endswith(_NO_WEIGHTS)]
    return [*_graphs(bundle, precision).values(), *weights]


def environment(options: BuildOptions) -> dict[str, str]:
    """GPU, driver and TensorRT; of a plan that later versions run, only the major version.

    Raises:
        InputError: without a GPU.
    """
    version = tensorrt.__version__
    major = version.partition('.')[0]
    return {**describe_gpu(), 'tensorrt': major if options.version_compatible else version}


def build(bundle: Bundle, room: Path, options: BuildOptions, progress: Progress) -> dict[str, Any]:
    """Compile every graph; see `build.Builder.build`."""
    assert options.precision is not None
    notes, timing = {}, _timing_file()
    graphs = _graphs(bundle, options.precision)
    for index, (graph, name) in enumerate(graphs.items()):

        def report(share: float, index: int = index, graph: str = graph) -> None:
            progress(f'compiling {graph}', (index + share) / len(graphs))

        report(0.0)
        path = room / plan_name(graph)
        plan, learnt = _compile(bundle.path(name), options, _read(timing), report)
        path.write_bytes(plan)
        write_atomically(timing, learnt)
        notes[path.name] = _describe(Plan(path, options.version_compatible))
    progress('compiled', 1.0)
    return notes


def load(bundle: Bundle, directory: Path, options: BuildOptions) -> TensorrtEngine:
    """Load the plans; see `build.Builder.load`."""
    assert options.precision is not None
    return TensorrtEngine(bundle, directory, options.precision, options.version_compatible)


def _graphs(bundle: Bundle, precision: Precision) -> dict[str, str]:
    """File names by graph."""
    return bundle.graphs(lambda graph: graph_file(graph, precision))


def _compile(
    path: Path, options: BuildOptions, timing: bytes, report: Callable[[float], None]
) -> tuple[bytes, bytes]:
    """A graph's plan, and the timing cache with what compiling it taught.

    Raises:
        InputError: for a graph that TensorRT cannot read or compile.
    """
    builder = tensorrt.Builder(ERROR_LOG)
    network = builder.create_network(_network_flags())
    _parse(path, network)
    with deferred_signals() as signals:
        monitor = Monitor(report, lambda: not signals)
        config = _configure(builder, options, timing, monitor)
        plan = builder.build_serialized_network(network, config)
    if monitor.error:
        raise monitor.error
    if signals:
        raise InputError(f'{path}: expected to compile it, got interrupted; start again')
    if plan is None:
        raise InputError(
            f'{path}: expected a graph that TensorRT {tensorrt.__version__} can compile, got '
            f'{ERROR_LOG.take()!r}; export the bundle again, or choose another backend'
        )
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def _network_flags() -> int:
    """Strong typing; TensorRT 11 has no other batches than explicit ones, and no flag for them."""
    known = tensorrt.NetworkDefinitionCreationFlag
    flags = [known.STRONGLY_TYPED]
    if hasattr(known, 'EXPLICIT_BATCH'):
        flags.append(known.EXPLICIT_BATCH)
    return sum(1 << int(flag) for flag in flags)


def _parse(path: Path, network: Any) -> None:
    parser = tensorrt.OnnxParser(network, ERROR_LOG)
    if parser.parse_from_file(str(path)):
        return
    ERROR_LOG.take()
    errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
    raise InputError(
        f'{path}: expected a graph that TensorRT {tensorrt.__version__} can read, got '
        f'{"; ".join(" ".join(error.split()) for error in errors)[:300]!r}; '
        'export the bundle again, or choose another backend'
    )


def _configure(builder: Any, options: BuildOptions, timing: bytes, monitor: 'Monitor') -> Any:
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)  # on by default: float32 would lose 13 bits
    if options.refittable:
        config.set_flag(tensorrt.BuilderFlag.REFIT)
    if options.version_compatible:
        config.set_flag(tensorrt.BuilderFlag.VERSION_COMPATIBLE)
    if options.optimization_level is not None:
        config.builder_optimization_level = options.optimization_level
    if options.workspace_bytes is not None:
        pool = tensorrt.MemoryPoolType.WORKSPACE
        config.set_memory_pool_limit(pool, options.workspace_bytes)
    config.profiling_verbosity = tensorrt.ProfilingVerbosity.DETAILED  # precision of the layers
    config.progress_monitor = monitor
    # A cache that TensorRT does not like is replaced by an empty one.
    if not config.set_timing_cache(config.create_timing_cache(timing), False):
        ERROR_LOG.take()
        config.set_timing_cache(config.create_timing_cache(b''), False)
    return config


class Monitor(tensorrt.IProgressMonitor):
    """Turns TensorRT's nested phases into one share that never falls.

    Attributes:
        error: what the report raised; the build was given up for it.
    """

    def __init__(self, report: Callable[[float], None], goes_on: Callable[[], bool]) -> None:
        """Set up.

        Args:
            report: gets the share done; may raise to give the build up.
            goes_on: False gives the build up.
        """
        tensorrt.IProgressMonitor.__init__(self)
        self.error: Exception | None = None
        self._report, self._goes_on = report, goes_on
        self._lock = threading.Lock()  # TensorRT calls from several threads
        # Of each phase at work: steps in all, steps done. The outer ones stand first.
        self._phases: dict[str, list[int]] = {}
        self._share = 0.0

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """Called by TensorRT."""
        with self._lock:
            self._phases[phase_name] = [max(1, num_steps), 0]

    def step_complete(self, phase_name: str, step: int) -> bool:
        """Called by TensorRT; False gives the build up."""
        with self._lock:
            self._phases[phase_name][1] = step + 1
            self._tell()
        return self.error is None and self._goes_on()

    def phase_finish(self, phase_name: str) -> None:
        """Called by TensorRT."""
        with self._lock:
            self._phases.pop(phase_name, None)

    def _tell(self) -> None:
        share, weight = 0.0, 1.0
        for num_steps, num_done in self._phases.values():
            share += weight * num_done / num_steps
            weight /= num_steps
        self._share = max(self._share, min(share, 1.0))
        try:
            self._report(self._share)
        except Exception as error:  # must not fly through TensorRT
            self.error = error


def _describe(plan: Plan) -> dict[str, Any]:
    """Inputs, outputs, memory, and how many layers give each type of tensor."""
    layers = plan.layers()
    types = Counter(
        output.get('Format/Datatype', 'unknown')
        for layer in layers
        if isinstance(layer, dict)
        for output in layer.get('Outputs', [])[:1]
    )
    return {
        'inputs': _readable(plan.inputs),
        'outputs': _readable(plan.outputs),
        'activation_bytes': plan.activation_bytes,
        'num_layers': len(layers),
        'layer_types': dict(types),
    }


def _readable(signature: Any) -> dict[str, str]:
    return {
        name: f'{"x".join(map(str, shape))} {dtype}' for name, (shape, dtype) in signature.items()
    }


def _timing_file() -> Path:
    """One for each TensorRT on each GPU: other plans of theirs compile faster with it."""
    text = json.dumps(environment(BuildOptions()), sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return EngineCache().timing_file(f'tensorrt-{name}.cache')


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b''
