import math

from mle_sam.loss import HARD, IGNORE, MIN_SHARE, ohem_cross_entropy
import pytest
import torch


def by_hand(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Pixel after pixel."""
    losses = []
    for item, row, column in torch.nonzero(labels != IGNORE).tolist():
        scores = logits[item, :, row, column].double().exp()
        losses.append(-math.log(scores[labels[item, row, column]] / scores.sum()))
    losses.sort(reverse=True)
    hard = [loss for loss in losses if loss > HARD]
    floor = max(len(losses) // MIN_SHARE, 1)
    counted = hard if len(hard) >= floor else losses[:floor]
    return sum(counted) / len(counted)


@pytest.mark.parametrize('confidence', [0.1, 3.0, 30.0])
def test_against_loops_with_more_and_fewer_hard_pixels_than_the_floor(confidence):
    labels = torch.randint(0, 4, (2, 8, 8))
    logits = torch.nn.functional.one_hot(labels, 4).permute(0, 3, 1, 2) * confidence
    logits = logits + 0.1 * torch.randn(logits.shape)
    labels[0, :3] = IGNORE
    assert ohem_cross_entropy(logits, labels).item() == pytest.approx(
        by_hand(logits, labels), rel=1e-4
    )


def test_easy_pixels_get_no_gradient():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0, :, 2:] = 5.0  # right and sure
    logits.requires_grad_()
    ohem_cross_entropy(logits, torch.zeros(1, 4, 4, dtype=torch.long)).backward()
    assert logits.grad[..., 2:].abs().max() == 0
    assert logits.grad[..., :2].abs().min() > 0


def test_nothing_to_learn_from_is_zero_with_zero_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = ohem_cross_entropy(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0
