"""`mle-sam build-engine`: build with a progress bar, and say what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.build import build_engine, BuildOptions, COMPILED_BACKENDS, Progress
from mle_sam_ros.runtime.built_engines import describe_latency
from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.check import describe_proof
from mle_sam_ros.runtime.engine import load_engine
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.golden import read_golden
from mle_sam_ros.runtime.latency import measure_latency
from tqdm import tqdm


def build_and_report(directory: Path | str, backend: str, options: BuildOptions) -> Iterator[str]:
    """Build an engine, or prove and measure one that needs no building.

    Args:
        directory: the bundle.
        backend: as in `load_engine`.
        options: of the build.

    Yields:
        lines for people.

    Raises:
        InputError: as `build_engine`; or for options of a build where nothing is built.
    """
    bundle = Bundle.open(directory)
    if backend in COMPILED_BACKENDS:
        yield from _build(bundle, backend, options)
    else:
        yield from _prove(bundle, backend, options)


def _build(bundle: Bundle, backend: str, options: BuildOptions) -> Iterator[str]:
    with _progress_bar() as progress:
        engine = build_engine(bundle, backend, options, progress)
    record = engine.record
    versions = ', '.join(f'{name} {value}' for name, value in record.key.environment.items())
    yield (
        f'engine: {record.model} {record.key.options["precision"]} on {backend}, compiled in '
        f'{record.seconds:.0f} s at {record.built_at}'
    )
    yield f'for: {versions}'
    yield from describe_proof(record.proof)
    yield f'latency: {describe_latency(record)} with all modalities'
    yield f'kept: {engine.directory}, {engine.num_bytes / 1e6:.1f} MB'


def _prove(bundle: Bundle, backend: str, options: BuildOptions) -> Iterator[str]:
    if options != BuildOptions():
        raise InputError(
            f'{backend}: expected no options of a build, got some; it runs the bundle as it is, '
            'with the precision of its fp32 graphs'
        )
    bundle.verify_hashes()
    engine = load_engine(bundle, backend)
    yield f'engine: {bundle.manifest.model} fp32 on {engine.description}; nothing needs building'
    yield from describe_proof(prove(engine, bundle))
    rasters = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest).rasters
    latency = measure_latency(engine, rasters, frozenset(rasters))
    yield (
        f'latency: p50 {latency.p50_ms:.2f} ms, p99 {latency.p99_ms:.2f} ms with all modalities'
    )


@contextmanager
def _progress_bar() -> Iterator[Progress]:
    form = '{desc}: {percentage:3.0f}% |{bar}| {elapsed} gone, {remaining} left'
    with tqdm(total=1.0, bar_format=form, disable=None) as bar:

        def progress(stage: str, share: float) -> None:
            bar.set_description_str(stage, refresh=False)
            bar.update(share - bar.n)
            bar.refresh()

        yield progress
