from dataclasses import replace
from itertools import product

from mle_sam.fusion import Fusion
from mle_sam.router import Router
import numpy as np
import pytest
import torch

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]


def weights_by_hand(router: Router, features: np.ndarray, present: tuple[bool, ...]) -> np.ndarray:
    """One item's weights, (M,), one step after the other."""
    embedding = []
    for m, is_present in enumerate(present):
        for channel in features[m]:
            embedding.append(channel.mean() if is_present else 0.0)
    matrix, bias = router.score.weight.detach().numpy(), router.score.bias.detach().numpy()
    scores = {}
    for m, is_present in enumerate(present):
        if is_present:
            scores[m] = np.exp(np.dot(matrix[m], embedding) + bias[m])
    kept = sorted(scores, key=lambda m: scores[m], reverse=True)[: router.k]
    weights = np.zeros(len(present))
    for m in kept:
        weights[m] = scores[m] / sum(scores[other] for other in kept)
    return weights


@pytest.fixture
def fusion(network) -> Fusion:
    fusion = Fusion(network)
    for router in fusion.routers:
        torch.nn.init.normal_(router.score.weight)
        torch.nn.init.normal_(router.score.bias)
    return fusion


def random_levels(network, batch: int) -> list[torch.Tensor]:
    sizes = zip(network.widths.feature_channels, (8, 4, 2), strict=True)
    return [torch.randn(3, batch, channels, side, side) for channels, side in sizes]


def test_every_presence_mask_against_loops_with_nan_in_absent_slots(network, fusion):
    levels = random_levels(network, len(MASKS))
    for item, present in enumerate(MASKS):
        for m, is_present in enumerate(present):
            if not is_present:
                for level in levels:
                    level[m, item] = torch.nan
    fused, weights_BLM = fusion(levels, torch.tensor(MASKS))
    for item, present in enumerate(MASKS):
        for index, (router, level) in enumerate(zip(fusion.routers, levels, strict=True)):
            features = level[:, item].numpy()
            expected = weights_by_hand(router, features, present)
            np.testing.assert_allclose(weights_BLM[item, index].detach(), expected, atol=1e-6)
            here = [m for m in range(3) if present[m]]
            average = sum(features[m] for m in here) / len(here)
            weighted = sum(expected[m] * features[m] for m in here)
            np.testing.assert_allclose(
                fused[index][item].detach(), 0.5 * (average + weighted), atol=1e-5
            )


def test_absent_slots_get_no_gradient(network, fusion):
    levels = [level.requires_grad_() for level in random_levels(network, 1)]
    fused, _ = fusion(levels, torch.tensor([[True, False, True]]))
    sum(level.square().sum() for level in fused).backward()
    for level in levels:
        assert level.grad[1].abs().max() == 0
        assert level.grad[0].abs().max() > 0


def test_router_learns_though_it_keeps_only_some(network, fusion):
    fused, _ = fusion(random_levels(network, 2), torch.ones(2, 3, dtype=torch.bool))
    sum(level.square().sum() for level in fused).backward()
    for router in fusion.routers:
        assert router.score.weight.grad.abs().max() > 0


def test_k_beyond_the_modalities_keeps_all(network):
    router = Router(replace(network, router_k=9), 4)
    weights = router(torch.randn(3, 2, 4, 2, 2), torch.ones(2, 3, dtype=torch.bool))
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2))
