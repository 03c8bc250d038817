"""The engines of the cache, seen from a bundle on this machine."""

from collections.abc import Iterator
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_key, builder_of, BuildOptions, unreadable
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine_cache import (
    BuildRecord,
    CachedEngine,
    EngineCache,
    UnreadableEngineError,
)
from mle_sam_ros.runtime.proof import DescribedEngine


class NotBuiltError(InputError):
    """A bundle without a sound engine for this machine; building one is the remedy."""


def load_built(bundle: Bundle, backend: str) -> DescribedEngine:
    """Load the fastest engine that was built for a bundle on this machine.

    Args:
        bundle: whose hashes were verified.
        backend: one of `COMPILED_BACKENDS`.

    Raises:
        NotBuiltError: where there is none, or it was damaged, or nothing here can load it any
            more; says why and names the command.
        InputError: for a backend that this machine cannot run, or a bundle that lacks what the
            backend compiles.
    """
    builder = builder_of(backend)
    builder.environment(BuildOptions())  # raises where building would not help either
    fitting, misfits = [], []
    for engine in _readable(EngineCache()):
        if engine.record.key.backend == backend and _is_of(engine, bundle):
            misfit = _misfit(engine)
            misfits += [misfit] if misfit else []
            fitting += [] if misfit else [engine]
    if not fitting:
        build_key(bundle, backend, BuildOptions())  # raises where nothing could be built of it
        raise NotBuiltError(
            f'{bundle.directory}: expected an engine built for {backend} on this machine, got '
            f'{"; ".join(sorted(set(misfits))) or "none"}; run: {build_command(bundle, backend)}'
        )
    fastest = min(fitting, key=lambda engine: engine.record.latency.p50_ms)
    try:
        fastest.verify()
    except InputError as error:
        raise NotBuiltError(f'{error}; run: {build_command(bundle, backend)}') from None
    try:
        return builder.load(bundle, fastest.directory, BuildOptions(**fastest.record.key.options))
    except UnreadableEngineError as error:
        raise NotBuiltError(f'{error}; run: {build_command(bundle, backend)}') from None


def build_command(bundle: Bundle, backend: str) -> str:
    """What to type to build an engine."""
    return f'mle-sam build-engine {bundle.directory} --backend {backend}'


def list_engines() -> Iterator[str]:
    """Yields a line per engine of the cache: what it is, how fast, and whether it can be used."""
    cache = EngineCache()
    if not cache.directories():
        yield f'no engine was built yet: {cache.root} holds none'
    for directory in cache.directories():
        state = _uselessness(cache, directory) or 'usable'
        try:
            engine = cache.read(directory)
        except InputError:
            yield f'{directory.name[:12]}  {state}'
            continue
        record = engine.record
        try:
            builder_of(record.key.backend).environment(BuildOptions(**record.key.options))
        except InputError as error:
            state = str(error)
        yield (
            f'{directory.name[:12]}  {record.model} {record.key.options["precision"]} '
            f'{record.key.backend}, {describe_latency(record)}, {engine.num_bytes / 1e6:.1f} MB, '
            f'built {record.built_at}: {state}'
        )


def describe_latency(record: BuildRecord) -> str:
    """How fast an engine is, and how fast with its encoders in the form that was not kept."""
    text = f'p50 {record.latency.p50_ms:.2f} ms, p99 {record.latency.p99_ms:.2f} ms'
    forms = sorted(record.encoders.items(), key=lambda item: item[1].p50_ms)
    if len(forms) > 1:
        (kept, _), (other, slower) = forms
        text += f' (encoders {kept}; {other} {slower.p50_ms:.2f} ms)'
    return text


def prune_engines(everything: bool = False) -> Iterator[str]:
    """Remove the engines that nothing here can use: yields a line for each that goes.

    Those are the damaged ones, those of another GPU, driver or version, those that can no longer
    be loaded, and those whose bundle is no longer where it was or holds other graphs. A GPU that
    does not answer today condemns none.

    Args:
        everything: remove the usable ones and the timing caches, too.
    """
    cache = EngineCache()
    if not cache.root.is_dir():
        return
    with cache.lock():
        cache.remove_drafts()
        for directory in cache.directories():
            reason = _uselessness(cache, directory) or _unreadability(cache, directory)
            if reason or everything:
                cache.remove(directory)
                yield f'{directory.name[:12]}  removed: {reason or "usable"}'
        if everything:
            cache.remove_timing()


def _readable(cache: EngineCache) -> Iterator[CachedEngine]:
    for directory in cache.directories():
        try:
            yield cache.read(directory)
        except InputError:
            continue


def _is_of(engine: CachedEngine, bundle: Bundle) -> bool:
    return engine.record.key.sources.items() <= bundle.manifest.files.items()


def _uselessness(cache: EngineCache, directory: Path) -> str:
    """Why nothing here will use the engine again; empty where something may."""
    try:
        engine = cache.read(directory)
    except InputError:
        return 'damaged'
    try:
        bundle = Bundle.open(engine.record.bundle)
    except InputError:
        return f'no bundle at {engine.record.bundle}'
    if not _is_of(engine, bundle):
        return f'{engine.record.bundle} holds other graphs now'
    try:
        return _misfit(engine)
    except InputError:
        return ''


def _unreadability(cache: EngineCache, directory: Path) -> str:
    """Why an engine that should fit cannot be loaded; empty where it can, or nobody can say."""
    engine = cache.read(directory)
    try:
        engine.verify()
    except InputError:
        return 'damaged'
    try:
        return unreadable(engine, Bundle.open(engine.record.bundle))
    except InputError:  # no GPU, or no memory on it
        return ''


def _misfit(engine: CachedEngine) -> str:
    """What of this machine differs from the one that built the engine; empty for nothing.

    Raises:
        InputError: where this machine cannot run the backend at all.
    """
    built = engine.record.key.environment
    options = BuildOptions(**engine.record.key.options)
    here = builder_of(engine.record.key.backend).environment(options)
    return ', '.join(
        f'one for {name} {built.get(name)}, not {here.get(name)}'
        for name in sorted({*here, *built})
        if here.get(name) != built.get(name)
    )
