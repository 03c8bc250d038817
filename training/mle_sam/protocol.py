"""How a network is scored: as the paper does, or as a vehicle would have it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """The rules of an evaluation.

    Attributes:
        name: paper or vehicle.
        substitutes: what becomes of a modality that is missing, the first one also where a sample
            lacks it by itself: `zero`, its normalised input is zero, and is encoded, averaged and
            routed like any other (the benchmark of the paper's authors), or `drop`, it is masked
            out of average and router (ours).
        full_size: labels have the data set's own size, and logits are enlarged to it before the
            best class is taken; else both have the network's size.
        counts_absent: the leading mean is over all classes, and one that is in neither truth nor
            prediction counts 0 (DELIVER's rule); else over the classes that are there.
        failures_apart: samples in which something failed count for their failure only, not for
            their weather as well.
    """

    name: str
    substitutes: tuple[str, ...]
    full_size: bool
    counts_absent: bool
    failures_apart: bool


PROTOCOLS = {
    'paper': Protocol('paper', ('zero', 'drop'), False, True, False),
    'vehicle': Protocol('vehicle', ('drop',), True, False, True),
}
