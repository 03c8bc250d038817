"""Opening a bundle: nothing runs that was not verified and proven on this machine."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import COMPILED_BACKENDS
from mle_sam_ros.runtime.built_engines import load_built
from mle_sam_ros.runtime.bundle import Bundle, Precision
from mle_sam_ros.runtime.contract import available_threads
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.proof import DescribedEngine

# Those that run a bundle as it is; `COMPILED_BACKENDS` run what was built from it.
BACKENDS = ('onnx', 'openvino')


def open_engine(
    bundle: Bundle | Path | str,
    backend: str = 'auto',
    threads: int | None = None,
    reuse_features: bool = False,
) -> DescribedEngine:
    """Verify a bundle, load it, and prove that it answers as exported, for every subset.

    Args:
        bundle: to run.
        backend: one of `BACKENDS` or `COMPILED_BACKENDS`; `auto` takes the fastest of `BACKENDS`
            that is installed.
        threads: that share the work of one graph; None takes every processor there is.
        reuse_features: as in `DescribedEngine`.

    Raises:
        InputError: for a damaged bundle, an unknown backend, one that is not installed, or an
            engine that answers something else than the golden outputs; a `NotBuiltError` where
            the engine must be built first.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
    bundle.verify_hashes()
    engine = load_engine(bundle, backend, threads)
    prove(engine, bundle)
    engine.reuse_features = reuse_features
    return engine


def load_engine(
    bundle: Bundle,
    backend: str = 'auto',
    threads: int | None = None,
    precision: Precision = 'fp32',
) -> DescribedEngine:
    """Load a bundle without any proof: for those who then compare or measure it.

    Args:
        bundle: to run.
        backend: as in `open_engine`.
        threads: as in `open_engine`.
        precision: of the graphs that one of `BACKENDS` runs. Processors compute those of fp16 in
            float32, slower than the others: it shows what rounding costs where there is no GPU.

    Raises:
        InputError: for an unknown backend, one that is not installed, or a graph that cannot be
            loaded; a `NotBuiltError` where the engine must be built first.
    """
    name = _fastest_backend() if backend == 'auto' else backend
    if name in COMPILED_BACKENDS:
        return load_built(bundle, name)
    if name not in BACKENDS:
        raise InputError(
            f'backend: expected auto, {", ".join((*BACKENDS, *COMPILED_BACKENDS))}, got '
            f'{backend!r}; choose one of these'
        )
    # All processors, although the executor needs one too: beside a busy one, two threads on two
    # processors took 107 ms (p99: 211) for an instant of nano, one thread took 113 (p99: 668), on
    # a machine that others used too; see `benchmarks/engines.py`.
    threads = available_threads() if threads is None else threads
    if threads < 1:
        raise InputError(
            f'threads: expected at least 1, got {threads}; leave it out for every processor'
        )
    return _engine_type(name)(bundle, threads, precision)


def _fastest_backend() -> str:
    """OpenVINO where it is installed: the faster one on nano, see `benchmarks/engines.py`."""
    return 'openvino' if find_spec('openvino') else 'onnx'


def _engine_type(name: str) -> Callable[[Bundle, int, Precision], DescribedEngine]:
    # Imported here: each backend is optional, and slow to import.
    try:
        if name == 'onnx':
            from mle_sam_ros.runtime.onnx_engine import OnnxEngine

            return OnnxEngine
        from mle_sam_ros.runtime.openvino_engine import OpenvinoEngine

        return OpenvinoEngine
    except ModuleNotFoundError as error:
        raise InputError(
            f'backend: expected the package {error.name} for {name}, got none; '
            f'install it with pip or choose another backend'
        ) from None
