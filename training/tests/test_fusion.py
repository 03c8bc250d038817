from dataclasses import replace

from mle_sam.fusion import Fusion
import pytest
import torch


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


def test_average_alone_has_no_router_and_says_equal_weights(network):
    fusion = Fusion(replace(network, combination='average'))
    assert list(fusion.parameters()) == []
    present = torch.tensor([[True, True, True], [False, True, True]])
    _, weights_BLM = fusion(random_levels(network, 2), present)
    expected = torch.tensor([[1 / 3] * 3, [0.0, 0.5, 0.5]])
    torch.testing.assert_close(weights_BLM, expected[:, None].expand(2, 3, 3))
