"""Focal loss (arXiv 1708.02002) over the softmax, as AD-SAM uses it."""

import torch
from torch.nn import functional as F

from mle_sam.losses.pixels import IGNORE

ALPHA, GAMMA = 0.25, 2.0  # AD-SAM


def focal(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """Average -alpha (1 - p)^gamma log p of the true class over the pixels that count.

    0, with zero gradient, where no pixel counts.
    """
    losses = F.cross_entropy(logits_BKHW, labels_BHW, ignore_index=IGNORE, reduction='none')
    weighted = ALPHA * (1 - (-losses).exp()) ** GAMMA * losses  # 0 where ignored
    return weighted.sum() / (labels_BHW != IGNORE).sum().clamp(min=1)
