"""The losses that a recipe can name, and their weighted sum."""

from collections.abc import Callable, Mapping

import torch

from mle_sam.losses.binary import binary_cross_entropy, soft_iou
from mle_sam.losses.cross_entropy import cross_entropy
from mle_sam.losses.dice import dice
from mle_sam.losses.focal import focal
from mle_sam.losses.lovasz import lovasz_softmax
from mle_sam.losses.ohem import ohem_cross_entropy
from mle_sam.losses.surface import surface

# From logits (B, K, H, W) and labels (B, H, W) int64, 255 = does not count, to a scalar.
LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    'ohem': ohem_cross_entropy,
    'cross_entropy': cross_entropy,
    'focal': focal,
    'dice': dice,
    'lovasz': lovasz_softmax,
    'surface': surface,
    'binary_cross_entropy': binary_cross_entropy,
    'soft_iou': soft_iou,
}


def weighted_loss(
    weights: Mapping[str, float], logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor
) -> torch.Tensor:
    """The sum of the losses named, by weight."""
    terms = [weight * LOSSES[name](logits_BKHW, labels_BHW) for name, weight in weights.items()]
    return torch.stack(terms).sum()
