"""What the paper's formulas say, one pixel and one number after the other."""

import math

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.losses.ohem import HARD, MIN_SHARE
from mle_sam.losses.pixels import IGNORE
from mle_sam.router import Router
import numpy as np
import torch
from torch.nn import functional as F


def router_weights(router: Router, features: np.ndarray, present: tuple[bool, ...]) -> np.ndarray:
    """One item's weights at one level, (M,), from its features (M, C, h, w)."""
    embedding = [
        [channel.mean() if is_present else 0.0 for channel in features[m]]
        for m, is_present in enumerate(present)
    ]
    scores = {}
    for m, is_present in enumerate(present):
        if is_present:
            scores[m] = math.exp(_router_logit(router, embedding, m))
    kept = sorted(scores, key=lambda m: scores[m], reverse=True)[: router.k]
    whole = sum(scores[m] for m in (kept if router.renormalise else scores))
    return np.array([scores[m] / whole if m in kept else 0.0 for m in range(len(present))])


def _router_logit(router: Router, embedding: list[list[float]], m: int) -> float:
    inputs = embedding[m] if router.judges_own else [x for part in embedding for x in part]
    if router.hidden:
        layer = router.hidden[0]
        inputs = [
            max(0.0, float(np.dot(row, inputs)) + bias)
            for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
        ]
    row = 0 if router.judges_own else m
    bias = 0.0 if router.judges_own else router.score.bias[row].item()
    return float(np.dot(router.score.weight[row].tolist(), inputs)) + bias


def auxiliary_logits(head: AuxiliaryHead, fused: list[torch.Tensor]) -> torch.Tensor:
    """Upsample, concatenate, fuse, predict, all at the input's size."""
    enlarged = [
        F.interpolate(perceptron(features), scale_factor=scale, mode='bilinear')
        for perceptron, features, scale in zip(head.perceptrons, fused, (4, 8, 16), strict=True)
    ]
    return head.predict(head.fuse(torch.cat(enlarged, 1)))


def hard_pixels_loss(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Mean cross-entropy of the hard pixels, (B, K, H, W) logits against (B, H, W) labels."""
    losses = []
    for item, row, column in torch.nonzero(labels != IGNORE).tolist():
        scores = logits[item, :, row, column].double().exp()
        losses.append(-math.log(scores[labels[item, row, column]] / scores.sum()))
    losses.sort(reverse=True)
    hard = [loss for loss in losses if loss > HARD]
    floor = max(len(losses) // MIN_SHARE, 1)
    counted = hard if len(hard) >= floor else losses[:floor]
    return sum(counted) / len(counted)


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    """Bilinear enlargement of (h, w) by a whole factor, pixel centres aligned, edges held."""
    height, width = image.shape
    result = np.zeros((height * scale, width * scale))
    for row in range(height * scale):
        for column in range(width * scale):
            y = min(max((row + 0.5) / scale - 0.5, 0), height - 1)
            x = min(max((column + 0.5) / scale - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            v, u = y - top, x - left
            upper = (1 - u) * image[top, left] + u * image[top, right]
            lower = (1 - u) * image[bottom, left] + u * image[bottom, right]
            result[row, column] = (1 - v) * upper + v * lower
    return result
