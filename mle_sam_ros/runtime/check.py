"""`mle-sam check-bundle`: is a bundle whole, and does it answer here as when it was exported?"""

from collections.abc import Iterator
from pathlib import Path

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.runtime.bundle import (
    ALL_ENCODERS,
    Bundle,
    FUSE_DECODE,
    graph_file,
    Precision,
    PRECISIONS,
)
from mle_sam_ros.runtime.engine import load_engine
from mle_sam_ros.runtime.gate import prove
from mle_sam_ros.runtime.proof import Proof


def check_bundle(
    directory: Path | str,
    backend: str = 'auto',
    threads: int | None = None,
    precision: Precision = 'fp32',
) -> Iterator[str]:
    """Check a bundle step by step.

    Args:
        directory: the bundle.
        backend: as in `open_engine`.
        threads: as in `open_engine`.
        precision: as in `load_engine`.

    Yields:
        one line per thing that was found right, as soon as it is known.

    Raises:
        InputError: for the first thing that is wrong.
    """
    bundle = Bundle.open(directory)
    manifest = bundle.manifest
    height, width = manifest.input_hw
    yield (
        f'manifest: {manifest.model} {manifest.revision[:12]}, {height} x {width}, '
        f'{", ".join(manifest.modality_names)}, {len(manifest.classes)} classes'
    )
    bundle.verify_hashes()
    num_bytes = sum(bundle.path(name).stat().st_size for name in manifest.files)
    yield f'hashes: {len(manifest.files)} files, {num_bytes / 1e6:.1f} MB, as in the manifest'
    yield f'holds: {", ".join(_contents(manifest))}'
    engine = load_engine(bundle, backend, threads, precision)
    yield f'graphs: names, shapes and dtypes as they must be ({engine.description})'
    yield from describe_proof(prove(engine, bundle))


def _contents(manifest: Manifest) -> Iterator[str]:
    """What engines can be made of the files."""
    for suffix, kind in (('.onnx', 'graphs'), ('.pt2', 'programs for torch')):
        for precision in PRECISIONS:
            names = (graph_file(graph, precision) for graph in (FUSE_DECODE, ALL_ENCODERS))
            behind, stacked = (Path(name).with_suffix(suffix).name for name in names)
            if behind in manifest.files:
                batch = ' (encoders stacked, too)' if stacked in manifest.files else ''
                yield f'{precision} {kind}{batch}'


def describe_proof(proof: Proof) -> Iterator[str]:
    """Yields one line per subset of the modalities, and one for them all."""
    for subset in proof.subsets:
        yield (
            f'golden {"+".join(subset.present)}: same class at {subset.agreement:.4%} of pixels, '
            f'confidence within {subset.confidence_error:g} of 255, '
            f'router within {subset.router_error:.1e}'
        )
    cosines = ''.join(f', {name} {cosine:.6f}' for name, cosine in proof.cosines.items())
    yield (
        f'golden altogether: mIoU drop {proof.miou_drop:.3f} points'
        f'{cosines and f"; cosine of features{cosines[1:]}"}'
    )
