"""Online hard example mining (OHEM) over the cross-entropy (MLE-SAM §III)."""

import math

import torch
from torch.nn import functional as F

from mle_sam.losses.pixels import IGNORE

HARD = -math.log(0.7)  # public code: pixels whose class has less than 70 % are hard
MIN_SHARE = 16  # public code: at least one valid pixel in 16 counts


def ohem_cross_entropy(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """Average the cross-entropy over the hard pixels of the batch.

    Args:
        logits_BKHW: class scores.
        labels_BHW: int64 class ids; `IGNORE` marks pixels that do not count.

    Returns:
        Scalar: the mean over the pixels above `HARD`, or over the hardest 1/`MIN_SHARE` of the
        valid pixels where fewer are above; 0, with zero gradient, where no pixel is valid.
    """
    losses = F.cross_entropy(logits_BKHW, labels_BHW, ignore_index=IGNORE, reduction='none')
    valid = losses[labels_BHW != IGNORE]
    if valid.numel() == 0:
        return logits_BKHW.sum() * 0.0
    hard = valid[valid > HARD]
    min_count = max(valid.numel() // MIN_SHARE, 1)
    return (hard if hard.numel() >= min_count else valid.topk(min_count).values).mean()
