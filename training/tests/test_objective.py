from dataclasses import replace

from mle_sam.datasets.batches import as_item, collate
from mle_sam.losses.ohem import ohem_cross_entropy
from mle_sam.objective import autocast, Objective
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def batch(dataset, network):
    return collate([as_item(dataset[index], network) for index in (0, 1)])


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('has_auxiliary', [True, False])
@torch.no_grad()
def test_it_is_the_weighted_sum_of_both_paths(model, recipe, batch, stride, has_auxiliary):
    model.config = replace(model.config, auxiliary_head=has_auxiliary)
    stage = replace(recipe.experts, loss_stride=stride, auxiliary_weight=0.3)
    objective = Objective(model, stage)
    segmentation = model(batch.rasters, batch.present)
    for step in (0, 4, 5):
        rows, columns = (
            slice(step % stride, None, stride),
            slice(step // stride % stride, None, stride),
        )
        labels = batch.labels[:, rows, columns].long()

        def expected(levels, labels=labels, rows=rows, columns=columns):
            whole = sum(F.interpolate(m, (64, 128), mode='bilinear') for m in levels)
            return ohem_cross_entropy(whole[:, :, rows, columns], labels)

        loss = expected([segmentation.paths[0][0]])
        if has_auxiliary:
            loss = loss + 0.3 * expected(segmentation.paths[1])
        assert objective(batch, step).item() == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize(
    ('precision', 'tolerance'), [('fp32', 1e-6), ('bf16', 0.05), ('fp16', 0.01)]
)
def test_precisions_agree(model, recipe, batch, precision, tolerance):
    exact = Objective(model, recipe.experts)(batch, 0)
    objective = Objective(model, replace(recipe.experts, precision=precision))
    loss = objective(batch, 0)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=tolerance)
    assert (loss.item() == exact.item()) == (precision == 'fp32')
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_autocast_is_off_in_fp32():
    x = torch.ones(2, 2)
    for precision, dtype in (('fp32', torch.float32), ('bf16', torch.bfloat16)):
        with autocast(precision, torch.device('cpu')):
            assert (x @ x).dtype == dtype
