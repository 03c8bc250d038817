from mle_sam.losses.ohem import ohem_cross_entropy
from mle_sam.losses.pixels import IGNORE
import torch


def test_easy_pixels_get_no_gradient():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0, :, 2:] = 5.0  # right and sure
    logits.requires_grad_()
    ohem_cross_entropy(logits, torch.zeros(1, 4, 4, dtype=torch.long)).backward()
    assert logits.grad[..., 2:].abs().max() == 0
    assert logits.grad[..., :2].abs().min() > 0


def test_ignored_pixels_get_no_gradient():
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[:, 0] = IGNORE
    ohem_cross_entropy(logits, labels).backward()
    assert logits.grad[:, :, 0].abs().max() == 0
    assert logits.grad[:, :, 1:].abs().min() > 0


def test_nothing_to_learn_from_is_zero_with_zero_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = ohem_cross_entropy(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().max() == 0
