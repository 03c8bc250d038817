"""Lovász-Softmax (arXiv 1705.08790): a convex surrogate of the mean IoU, image by image."""

import torch

from mle_sam.losses.pixels import IGNORE, one_hot


def lovasz_softmax(logits_BKHW: torch.Tensor, labels_BHW: torch.Tensor) -> torch.Tensor:
    """Average over images the mean over the classes that an image has.

    0, with zero gradient, for an image without a pixel that counts.
    """
    losses = [
        _of_image(logits_KHW, labels_HW)
        for logits_KHW, labels_HW in zip(logits_BKHW, labels_BHW, strict=True)
    ]
    return torch.stack(losses).mean()


def _of_image(logits_KHW: torch.Tensor, labels_HW: torch.Tensor) -> torch.Tensor:
    is_valid = labels_HW != IGNORE
    truth_KN = one_hot(labels_HW[None], len(logits_KHW))[0][:, is_valid]
    is_there = truth_KN.any(1)
    if not is_there.any():
        return logits_KHW.sum() * 0.0
    truth_KN = truth_KN[is_there]
    errors_KN = (truth_KN - logits_KHW.softmax(0)[:, is_valid][is_there]).abs()
    errors_KN, order = errors_KN.sort(1, descending=True)
    return (errors_KN * _gradient(truth_KN.gather(1, order))).sum(1).mean()


def _gradient(truth_KN: torch.Tensor) -> torch.Tensor:
    """What each pixel adds to 1 - IoU, when pixels turn wrong from the largest error on."""
    size_K1 = truth_KN.sum(1, keepdim=True)
    intersection = size_K1 - truth_KN.cumsum(1)
    union = size_K1 + (1 - truth_KN).cumsum(1)
    return (1 - intersection / union).diff(dim=1, prepend=torch.zeros_like(size_K1))
