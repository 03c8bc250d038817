from mle_sam.auxiliary_head import AuxiliaryHead
import pytest
import torch

CHANNELS = (4, 8, 16)


@pytest.fixture
def head() -> AuxiliaryHead:
    return AuxiliaryHead(CHANNELS, num_classes=5, width=6, dropout=0.5)


def fused() -> list[torch.Tensor]:
    return [torch.randn(2, c, 32 // s, 64 // s) for c, s in zip(CHANNELS, (4, 8, 16), strict=True)]


def test_each_level_keeps_its_size(head):
    assert [tuple(level.shape) for level in head.eval()(fused())] == [
        (2, 5, 8, 16),
        (2, 5, 4, 8),
        (2, 5, 2, 4),
    ]


def test_the_biases_count_once(head):
    """Without features there is nothing but the composed bias, in the first level only."""
    torch.nn.init.normal_(head.fuse.bias)
    torch.nn.init.normal_(head.predict.bias)
    first, *others = head.eval()([torch.zeros_like(level) for level in fused()])
    expected = head.predict(head.fuse.bias[None, :, None, None])
    torch.testing.assert_close(first, expected.expand_as(first))
    assert all(level.abs().max() == 0 for level in others)


def test_training_drops_whole_channels_and_evaluation_none(head):
    features = fused()
    assert not torch.equal(head.train()(features)[2], head(features)[2])
    assert torch.equal(head.eval()(features)[2], head(features)[2])


def test_every_layer_learns(head):
    sum(level.square().sum() for level in head(fused())).backward()
    assert all(p.grad.abs().max() > 0 for p in head.parameters())
