"""Each loss against its definition, pixel by pixel; and what all of them must hold to."""

import math

from mle_sam.losses.pixels import IGNORE
from mle_sam.losses.terms import LOSSES, weighted_loss
import numpy as np
import pytest
import torch

NUM_CLASSES, SIDE = 3, 6


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(2, NUM_CLASSES, SIDE, SIDE, dtype=torch.float64).float().requires_grad_()


@pytest.fixture
def labels() -> torch.Tensor:
    """The second image lacks class 2, and both have pixels that do not count."""
    labels = torch.randint(0, NUM_CLASSES, (2, SIDE, SIDE))
    labels[1][labels[1] == 2] = 0
    labels[:, 0] = IGNORE
    return labels


def pixels(logits: torch.Tensor, labels: torch.Tensor):
    """Yield (logits (K,), class) of every pixel that counts."""
    for scores_KHW, labels_HW in zip(logits.detach(), labels, strict=True):
        for row, column in (labels_HW != IGNORE).nonzero().tolist():
            yield scores_KHW[:, row, column], labels_HW[row, column].item()


def of_each(logits: torch.Tensor, labels: torch.Tensor, squash) -> list[tuple]:
    """By image: (class, probabilities (N,), truth (N,)) of the pixels that count."""
    found = []
    for scores_KHW, labels_HW in zip(logits.detach(), labels, strict=True):
        counts = labels_HW != IGNORE
        values = squash(scores_KHW)[:, counts].double().numpy()
        truth = labels_HW[counts].numpy()
        found.append([(k, values[k], (truth == k).astype(float)) for k in range(NUM_CLASSES)])
    return found


def softmax(scores_KHW: torch.Tensor) -> torch.Tensor:
    return scores_KHW.softmax(0)


def test_cross_entropy(logits, labels):
    expected = np.mean([-math.log(s.softmax(0)[c]) for s, c in pixels(logits, labels)])
    assert LOSSES['cross_entropy'](logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_focal(logits, labels):
    probabilities = [s.softmax(0)[c].item() for s, c in pixels(logits, labels)]
    expected = np.mean([-0.25 * (1 - p) ** 2 * math.log(p) for p in probabilities])
    assert LOSSES['focal'](logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_dice_counts_absent_classes(logits, labels):
    scores = [
        [(2 * (p * t).sum() + 1e-7) / (p.sum() + t.sum() + 1e-7) for _, p, t in image]
        for image in of_each(logits, labels, softmax)
    ]
    assert scores[1][2] < 1e-6
    assert LOSSES['dice'](logits, labels).item() == pytest.approx(1 - np.mean(scores), rel=1e-5)


def lovasz_extension(errors: np.ndarray, truth: np.ndarray) -> float:
    """The integral over t of 1 - IoU, where the pixels with errors of at least t are wrong."""
    total, below = 0.0, 0.0
    for level in np.unique(errors):
        is_wrong = errors >= level
        union = np.logical_or(truth > 0, is_wrong).sum()
        iou = np.logical_and(truth > 0, ~is_wrong).sum() / union
        total += (level - below) * (1 - iou)
        below = level
    return total


def test_lovasz_is_the_integral_over_the_levels_of_error(logits, labels):
    expected = np.mean(
        [
            np.mean([lovasz_extension(np.abs(t - p), t) for _, p, t in image if t.any()])
            for image in of_each(logits, labels, softmax)
        ]
    )
    assert LOSSES['lovasz'](logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_lovasz_of_sure_masks_is_one_minus_the_mean_iou():
    truth = torch.tensor([[[0, 0, 0, 1, 1, 1]]])
    said = torch.tensor([[[0, 0, 1, 1, 1, 0]]])
    logits = 100.0 * torch.nn.functional.one_hot(said, 2).movedim(-1, 1).float()
    assert LOSSES['lovasz'](logits, truth).item() == pytest.approx(0.5, abs=1e-5)


def test_surface_grows_away_from_edges():
    labels = torch.zeros(1, 3, 9, dtype=torch.long)
    labels[..., 4:] = 1
    distance = torch.tensor([3.0, 2, 1, 0, 0, 1, 2, 3, 4])
    logits = torch.zeros(1, 2, 3, 9)
    expected = (0.5 * distance).mean()
    assert LOSSES['surface'](logits, labels).item() == pytest.approx(expected.item(), rel=1e-5)
    assert LOSSES['surface'](logits, torch.ones_like(labels)).item() == 0  # no edge at all


def test_binary_cross_entropy(logits, labels):
    terms = [
        -(t * np.log(p) + (1 - t) * np.log(1 - p))
        for image in of_each(logits, labels, torch.sigmoid)
        for _, p, t in image
    ]
    got = LOSSES['binary_cross_entropy'](logits, labels).item()
    assert got == pytest.approx(np.mean(np.concatenate(terms)), rel=1e-5)


def test_soft_iou(logits, labels):
    terms = [
        1 - (p * t).sum() / (p + t - p * t).sum()
        for image in of_each(logits, labels, torch.sigmoid)
        for _, p, t in image
        if t.any()
    ]
    assert LOSSES['soft_iou'](logits, labels).item() == pytest.approx(np.mean(terms), rel=1e-5)


@pytest.mark.parametrize('name', LOSSES)
def test_what_does_not_count_gets_no_gradient(logits, labels, name):
    LOSSES[name](logits, labels).backward()
    assert logits.grad[:, :, 0].abs().max() == 0
    assert logits.grad[:, :, 1:].abs().max() > 0
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize('name', LOSSES)
def test_nothing_to_learn_from_gives_no_gradient(logits, name):
    loss = LOSSES[name](logits, torch.full((2, SIDE, SIDE), IGNORE))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.abs().max() == 0


@pytest.mark.parametrize('name', LOSSES)
def test_the_truth_costs_less_than_anything_else(labels, name):
    """Also less than what is nearly the truth."""
    known = labels.clamp(max=NUM_CLASSES - 1)
    right = 20.0 * torch.nn.functional.one_hot(known, NUM_CLASSES).movedim(-1, 1).float() - 10.0
    wrong = right.roll(1, dims=1)
    of_right, of_wrong = LOSSES[name](right, labels), LOSSES[name](wrong, labels)
    assert of_right < of_wrong
    assert of_right < (0.4 if name == 'dice' else 0.01)  # of dice, the class that is not there


def test_weights_add_up(logits, labels):
    weights = {'focal': 0.4, 'dice': 0.3, 'lovasz': 0.2, 'surface': 0.1}
    expected = sum(w * LOSSES[name](logits, labels) for name, w in weights.items())
    assert weighted_loss(weights, logits, labels).item() == pytest.approx(expected.item())
