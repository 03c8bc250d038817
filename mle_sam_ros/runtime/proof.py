"""How near an engine comes to what the exported model answered, and how near is near enough."""

from dataclasses import dataclass
from typing import Protocol

from mle_sam_ros.core.inference import Engine, Inference
from mle_sam_ros.core.metrics import ConfusionMatrix, NO_CLASS
from mle_sam_ros.runtime.bundle import Precision
from mle_sam_ros.runtime.golden import Golden, GoldenAnswer
import numpy as np


@dataclass(frozen=True)
class Limits:
    """How far from the golden answer an engine may be.

    Where two classes are all but equal, rounding may decide for the other: hence not 1 and 0.

    Attributes:
        agreement: least share of pixels with the same class, for every subset of modalities.
        miou_drop: most points that the mIoU against the golden label maps lies below 100. Over
            all subsets at once: in one alone a class may have three pixels.
        confidence_error: most of 255; for the 99.9 % of pixels where they differ least.
        router_error: most that a router weight differs.
        cosine: least similarity of an encoder's features.
    """

    agreement: float
    miou_drop: float
    confidence_error: float
    router_error: float
    cosine: float


LIMITS: dict[Precision, Limits] = {
    'fp32': Limits(0.999, 0.1, 3.0, 0.005, 0.9999),
    'fp16': Limits(0.995, 0.3, 8.0, 0.02, 0.995),
}


class DescribedEngine(Engine, Protocol):
    """An engine that says what it is, and lets its features be seen.

    Attributes:
        description: what runs the bundle, for people.
        precision: of its arithmetic.
        reuse_features: do not encode again a raster that is the very array that was encoded last
            for its modality, as of a sweep that serves several frames. The answer is the same;
            rasters must not be written to once they were handed over. May be set at any time.
        is_stacked: where all modalities are to be encoded, one graph encodes them as one batch.
            Only an engine that was loaded with that graph has it set, and may have it set again.
    """

    description: str
    precision: Precision
    reuse_features: bool
    is_stacked: bool

    def features(self, name: str) -> list[np.ndarray]:
        """What a modality's encoder said last, (1, C, h, w) by level."""
        ...


@dataclass(frozen=True)
class SubsetProof:
    """How near an engine came to the golden answer with some modalities present.

    Attributes:
        present: the modalities.
        agreement: share of pixels with the same class.
        confidence_error: 99.9th percentile of the difference, of 255.
        router_error: largest difference of a router weight.
    """

    present: tuple[str, ...]
    agreement: float
    confidence_error: float
    router_error: float

    def meets(self, limits: Limits) -> bool:
        """Whether the engine may be used with these modalities."""
        return (
            self.agreement >= limits.agreement
            and self.confidence_error <= limits.confidence_error
            and self.router_error <= limits.router_error
        )


@dataclass(frozen=True)
class Proof:
    """How near an engine came to the golden answers.

    Attributes:
        subsets: one per subset of the modalities.
        miou_drop: points of mIoU lost over all subsets, the golden label maps being the truth.
        cosines: modality to the least similarity of its features, over the levels; empty where
            the bundle has no golden features.
    """

    subsets: tuple[SubsetProof, ...]
    miou_drop: float
    cosines: dict[str, float]

    def fault(self, limits: Limits) -> str | None:
        """What is out of the limits, for people; None where the engine may be used."""
        for proof in self.subsets:
            if not proof.meets(limits):
                return (
                    f'for {"+".join(proof.present)} agreement {proof.agreement:.4f}, confidence '
                    f'{proof.confidence_error:g}, router {proof.router_error:.4g}'
                )
        if not self.miou_drop <= limits.miou_drop:
            return f'mIoU drop {self.miou_drop:.2f} points'
        for name, cosine in self.cosines.items():
            if not cosine >= limits.cosine:
                return f'cosine {cosine:.5f} of the features of {name}'
        return None


def compare(engine: DescribedEngine, golden: Golden) -> Proof:
    """Run an engine on the golden input with every subset of its modalities."""
    confusion = ConfusionMatrix(NO_CLASS)
    subsets = []
    for answer in golden.answers:
        inference = engine.infer(golden.rasters, frozenset(answer.present))
        confusion.update(answer.label_map, inference.label_map)
        subsets.append(_compare_subset(inference, answer))
    cosines = {
        name: least_cosine(engine, golden, name, expected)
        for name, expected in golden.features.items()
    }
    is_there = confusion.counts.sum(axis=1) > 0
    return Proof(tuple(subsets), 100 * float(1 - confusion.iou()[is_there].mean()), cosines)


def least_cosine(
    engine: DescribedEngine, golden: Golden, name: str, expected: list[np.ndarray]
) -> float:
    """Least similarity, over the levels, of what a modality's encoder says and what it should."""
    engine.infer(golden.rasters, frozenset({name}))
    pairs = zip(engine.features(name), expected, strict=True)
    return min(_cosine(got, wanted) for got, wanted in pairs)


def _cosine(got: np.ndarray, expected: np.ndarray) -> float:
    """Of two arrays of one shape; -1 where any value is no number, or the shapes differ."""
    a, b = got.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    if got.shape != expected.shape or not np.isfinite(a).all():
        return -1.0
    return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), np.finfo(float).tiny))


def _compare_subset(inference: Inference, answer: GoldenAnswer) -> SubsetProof:
    confidence_error = np.abs(inference.confidence.astype(np.int16) - answer.confidence)
    router_error = np.abs(inference.router_weights - answer.router_weights).max()
    return SubsetProof(
        answer.present,
        float((inference.label_map == answer.label_map).mean()),
        float(np.quantile(confidence_error, 0.999)),
        # A weight that is no number compares as an infinite error.
        float(np.nan_to_num(router_error, nan=np.inf)),
    )
