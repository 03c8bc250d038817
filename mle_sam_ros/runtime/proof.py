"""The proof that an engine answers as the exported model did."""

from dataclasses import dataclass

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.inference import Engine
from mle_sam_ros.runtime.golden import Golden, GoldenAnswer
import numpy as np

# Where two classes are all but equal, rounding may decide for the other.
MIN_AGREEMENT = 0.999
# Of 255; for the 99.9 % of pixels where they differ least.
MAX_CONFIDENCE_ERROR = 3.0
MAX_ROUTER_ERROR = 0.005


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

    @property
    def holds(self) -> bool:
        """Whether the engine may be used."""
        return (
            self.agreement >= MIN_AGREEMENT
            and self.confidence_error <= MAX_CONFIDENCE_ERROR
            and self.router_error <= MAX_ROUTER_ERROR
        )


def compare(engine: Engine, golden: Golden) -> list[SubsetProof]:
    """Run an engine on the golden input with every subset of its modalities."""
    return [_compare_subset(engine, golden, answer) for answer in golden.answers]


def prove(engine: Engine, golden: Golden, source: str) -> list[SubsetProof]:
    """Run an engine on the golden input, and refuse it where it answers something else.

    Raises:
        InputError: names the first subset that differs, and by how much.
    """
    proofs = compare(engine, golden)
    for proof in proofs:
        if not proof.holds:
            raise InputError(
                f'{source}: expected the golden answer for {"+".join(proof.present)} (agreement '
                f'>= {MIN_AGREEMENT}, confidence within {MAX_CONFIDENCE_ERROR:g}, router within '
                f'{MAX_ROUTER_ERROR:g}), got agreement {proof.agreement:.4f}, confidence '
                f'{proof.confidence_error:g}, router {proof.router_error:.4g}; '
                'try another backend or export the bundle again'
            )
    return proofs


def _compare_subset(engine: Engine, golden: Golden, answer: GoldenAnswer) -> SubsetProof:
    inference = engine.infer(golden.rasters, frozenset(answer.present))
    confidence_error = np.abs(inference.confidence.astype(np.int16) - answer.confidence)
    router_error = np.abs(inference.router_weights - answer.router_weights).max()
    return SubsetProof(
        answer.present,
        float((inference.label_map == answer.label_map).mean()),
        float(np.quantile(confidence_error, 0.999)),
        # A weight that is no number compares as an infinite error.
        float(np.nan_to_num(router_error, nan=np.inf)),
    )
