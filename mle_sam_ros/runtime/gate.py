"""The gate that no engine passes unless it answers as the exported model did."""

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import (
    ALL_ENCODERS,
    Bundle,
    encoder_graph,
    FUSE_DECODE,
    GOLDEN_NAME,
)
from mle_sam_ros.runtime.contract import available_threads
from mle_sam_ros.runtime.golden import Golden, read_golden
from mle_sam_ros.runtime.proof import compare, DescribedEngine, least_cosine, LIMITS, Proof


def prove(engine: DescribedEngine, bundle: Bundle) -> Proof:
    """Run an engine on its bundle's golden input, and refuse it where it answers otherwise.

    Raises:
        InputError: names what differs, by how much, and the first graph that answers otherwise
            than it was exported.
    """
    golden = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest)
    proof, limits = compare(engine, golden), LIMITS[engine.precision]
    if fault := proof.fault(limits):
        raise InputError(
            f'{bundle.directory} with {engine.description}: expected the golden answer '
            f'(agreement >= {limits.agreement}, mIoU drop <= {limits.miou_drop}, confidence '
            f'within {limits.confidence_error:g}, router within {limits.router_error:g}), got '
            f'{fault}; first graph that diverges: '
            f'{_first_divergence(engine, bundle, golden, proof)}; '
            'try another backend or precision, or export the bundle again'
        )
    return proof


def _first_divergence(
    engine: DescribedEngine, bundle: Bundle, golden: Golden, proof: Proof
) -> str:
    """Name the first graph at fault, and what shows it.

    Golden features tell at once. Without them, a modality that is right alone clears its own
    encoder and the decoder; where that settles nothing, the features that ONNX Runtime computes
    from the bundle's fp32 graphs are the reference.
    """
    if engine.is_stacked and _is_right_unstacked(engine, golden):
        return f'{ALL_ENCODERS} (one by one, the encoders are right)'
    cosines = proof.cosines
    if not cosines:
        if suspects := _wrong_alone(engine, proof):
            return f'{encoder_graph(suspects[0])} (others are right alone)'
        cosines = _cosines_to_reference(engine, bundle, golden)
    limit = LIMITS[engine.precision].cosine
    for name, cosine in cosines.items():
        if not cosine >= limit:
            return f'{encoder_graph(name)} (cosine {cosine:.5f} of its features)'
    return f'{FUSE_DECODE} (the features of every encoder are right)'


def _is_right_unstacked(engine: DescribedEngine, golden: Golden) -> bool:
    engine.is_stacked = False
    try:
        return compare(engine, golden).fault(LIMITS[engine.precision]) is None
    finally:
        engine.is_stacked = True


def _wrong_alone(engine: DescribedEngine, proof: Proof) -> list[str]:
    """Modalities that are wrong alone, if others are right alone; else none."""
    alone = [subset for subset in proof.subsets if len(subset.present) == 1]
    wrong = [s.present[0] for s in alone if not s.meets(LIMITS[engine.precision])]
    return wrong if len(wrong) < len(alone) else []


def _cosines_to_reference(
    engine: DescribedEngine, bundle: Bundle, golden: Golden
) -> dict[str, float]:
    # Imported here: only a refused engine needs it.
    from mle_sam_ros.runtime.onnx_engine import OnnxEngine

    reference = OnnxEngine(bundle, available_threads())
    cosines = {}
    for name in bundle.manifest.modality_names:
        reference.infer(golden.rasters, frozenset({name}))
        cosines[name] = least_cosine(engine, golden, name, reference.features(name))
    return cosines
