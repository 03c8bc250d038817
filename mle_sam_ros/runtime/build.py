"""Building an engine: compiled on the machine that runs it, proven there, and kept.

What compiles is a module `<backend>_build` of this room; `Builder` says what it offers.
"""

from collections.abc import Callable
import dataclasses
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, cast, Protocol

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import (
    ALL_ENCODERS,
    Bundle,
    GOLDEN_NAME,
    Precision,
    PRECISIONS,
)
from mle_sam_ros.runtime.engine_cache import (
    BuildKey,
    BuildRecord,
    CachedEngine,
    EngineCache,
    SCHEMA_VERSION,
    UnreadableEngineError,
)
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.golden import Golden, read_golden
from mle_sam_ros.runtime.latency import Latency, measure_latency
from mle_sam_ros.runtime.proof import DescribedEngine

# Backends that run compiled files; the others run a bundle as it is.
COMPILED_BACKENDS = ('tensorrt', 'torch', 'torch_tensorrt')
# Share of a build that compiling takes; proving and measuring are the rest.
_COMPILING = 0.95

# Called with what is being done and the share of it all that is done, 0 to 1, never falling.
# May raise: the build is then given up, and what it raised comes out of `build_engine`.
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class BuildOptions:
    """How to compile; part of the key under which the engine is kept.

    Attributes:
        precision: of the graphs; None takes fp16 where the bundle has it, else fp32.
        optimization_level: 0 to 5, how long TensorRT searches for fast kernels; None leaves it to
            TensorRT. torch searches on GPUs from 3 on, and for None.
        workspace_bytes: GPU memory that a kernel may use beside tensors; None for all there is.
        refittable: TensorRT's own refitter can replace the weights of the plan, which costs some
            speed; the cache then refuses it as changed.
        version_compatible: the plan also runs on later TensorRT of the same major version; costs
            some speed.
    """

    precision: Precision | None = None
    optimization_level: int | None = None
    workspace_bytes: int | None = None
    refittable: bool = False
    version_compatible: bool = False

    def check(self) -> None:
        """Reject values out of range.

        Raises:
            InputError: for an unknown precision, level or size.
        """
        rules = [
            ('precision', self.precision in (None, *PRECISIONS), ' or '.join(PRECISIONS)),
            ('optimization_level', self.optimization_level in (None, *range(6)), '0 to 5'),
            ('workspace_bytes', self.workspace_bytes is None or self.workspace_bytes > 0, '> 0'),
        ]
        for name, is_met, expected in rules:
            if not is_met:
                raise InputError(
                    f'{name}: expected {expected}, got {getattr(self, name)!r}; correct it'
                )


class Builder(Protocol):
    """What the module of a backend offers; `precision` is always a concrete one here."""

    def sources(self, bundle: Bundle, precision: Precision) -> list[str]:
        """Names of the bundle's files that would be compiled, whether or not it has them all."""
        ...

    def environment(self, options: BuildOptions) -> dict[str, str]:
        """Versions of libraries, GPU and driver: all of this machine that the result depends on.

        Raises:
            InputError: where this machine cannot run the backend, as without a GPU.
        """
        ...

    def build(
        self, bundle: Bundle, room: Path, options: BuildOptions, progress: Progress
    ) -> dict[str, Any]:
        """Compile a bundle whose hashes were verified.

        Args:
            bundle: to compile.
            room: empty directory to write into.
            options: `precision` is set.
            progress: to call at least at the start of every file; 1.0 is the end of compiling.

        Returns:
            by name of the file written in `room`, what is to be noted of it (inputs, outputs,
            layers), ready for JSON.

        Raises:
            InputError: for a graph that the compiler refuses; names the file.
        """
        ...

    def load(self, bundle: Bundle, directory: Path, options: BuildOptions) -> DescribedEngine:
        """Load what `build` wrote.

        Args:
            bundle: that it was built from.
            directory: holds the compiled files, whose hashes were verified or which were written
                by this very process.
            options: that it was built with.

        Raises:
            InputError: for files that cannot be loaded, or answer another contract.
        """
        ...


def builder_of(backend: str) -> Builder:
    """The module that compiles for a backend.

    Raises:
        InputError: for an unknown backend, or one whose packages are not installed.
    """
    if backend not in COMPILED_BACKENDS:
        raise InputError(
            f'backend: expected {", ".join(COMPILED_BACKENDS)}, got {backend!r}; choose one'
        )
    try:
        return cast(Builder, import_module(f'mle_sam_ros.runtime.{backend}_build'))
    except ModuleNotFoundError as error:
        raise InputError(
            f'backend: expected the package {error.name} for {backend}, got none; install it, or '
            'on a Jetson make the virtual environment with --system-site-packages'
        ) from None


def build_key(
    bundle: Bundle, backend: str, options: BuildOptions
) -> tuple[BuildKey, BuildOptions]:
    """The key of the engine that would be built, and the options with a concrete precision.

    Raises:
        InputError: for options out of range, or a bundle without graphs of that precision.
    """
    options.check()
    builder = builder_of(backend)
    files = bundle.manifest.files
    wanted: tuple[Precision, ...] = (options.precision,) if options.precision else ('fp16', 'fp32')
    for precision in wanted:
        names = builder.sources(bundle, precision)
        if all(name in files for name in names):
            options = dataclasses.replace(options, precision=precision)
            sources = {name: files[name] for name in names}
            key = BuildKey(backend, builder.environment(options), sources, to_mapping(options))
            return key, options
    missing = next(name for name in names if name not in files)
    raise InputError(
        f'{bundle.directory}: expected {missing} for a {precision} engine of {backend}, got none; '
        'export the bundle with it (for torch with --programs), or choose another precision or '
        'backend'
    )


def build_engine(
    bundle: Bundle,
    backend: str,
    options: BuildOptions = BuildOptions(),
    progress: Progress = lambda stage, share: None,
) -> CachedEngine:
    """Build an engine, prove it, measure it and keep it, unless that was done before.

    Of two processes that ask for the same engine, one builds; the other waits for it.

    Args:
        bundle: to compile.
        backend: one of `COMPILED_BACKENDS`.
        options: how.
        progress: see `Progress`.

    Raises:
        InputError: for a damaged bundle, bad options, a backend that this machine cannot run, a
            graph that does not compile, or an engine that does not answer as exported. Nothing is
            kept then.
    """
    bundle.verify_hashes()
    key, options = build_key(bundle, backend, options)
    cache = EngineCache()
    if engine := _find(cache, key, bundle):
        progress('already built', 1.0)
        return engine
    with cache.lock(lambda: progress('waiting for another process that builds', 0.0)):
        if engine := _find(cache, key, bundle):
            progress('built by another process', 1.0)
            return engine
        with cache.draft() as room:
            return cache.install(room, _build(bundle, room, key, options, progress))


def _find(cache: EngineCache, key: BuildKey, bundle: Bundle) -> CachedEngine | None:
    """The engine of that key, if it can be loaded here still."""
    engine = cache.find(key)
    if engine is None or unreadable(engine, bundle):
        return None
    return engine


def unreadable(engine: CachedEngine, bundle: Bundle) -> str:
    """Why nothing here can load an engine whose files are as they were built; empty if it can."""
    key = engine.record.key
    try:
        builder_of(key.backend).load(bundle, engine.directory, BuildOptions(**key.options))
    except UnreadableEngineError as error:
        return str(error)
    return ''


def _build(
    bundle: Bundle, room: Path, key: BuildKey, options: BuildOptions, progress: Progress
) -> BuildRecord:
    builder, start_s = builder_of(key.backend), perf_counter()
    graphs = builder.build(
        bundle, room, options, lambda stage, share: progress(stage, _COMPILING * share)
    )
    seconds = perf_counter() - start_s
    progress('proving', _COMPILING)
    engine = builder.load(bundle, room, options)
    proof = prove(engine, bundle)
    progress('measuring', (1 + _COMPILING) / 2)
    golden = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest)
    encoders = _measure(engine, golden)
    fastest = min(encoders, key=lambda form: encoders[form].p50_ms)
    if engine.is_stacked and fastest == 'separate':
        # Without it the engine starts sooner, and leaves more memory of the GPU to others.
        for path in room.glob(f'{ALL_ENCODERS}.*'):
            path.unlink()
            graphs.pop(path.name, None)
    progress('done', 1.0)
    return BuildRecord(
        SCHEMA_VERSION,
        key,
        bundle=str(bundle.directory.resolve()),
        model=bundle.manifest.model,
        built_at=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        seconds=round(seconds, 1),
        graphs=graphs,
        proof=proof,
        latency=encoders[fastest],
        files={},
        encoders=encoders,
    )


def _measure(engine: DescribedEngine, golden: Golden) -> dict[str, Latency]:
    """Latency with all modalities by form of the encoders; leaves the engine as it was."""
    present, is_stacked = frozenset(golden.rasters), engine.is_stacked
    encoders = {}
    for form in ('separate', 'stacked') if is_stacked else ('separate',):
        engine.is_stacked = form == 'stacked'
        encoders[form] = measure_latency(engine, golden.rasters, present)
    return encoders
