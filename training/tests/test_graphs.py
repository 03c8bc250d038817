"""Every rewrite for engines against the plain module; differences are of values of about 1."""

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.decoder import build_mask_decoder, decode_masks, NoPrompt
from mle_sam.export.graphs import _AuxiliaryGraph, _compose, Normalisation
from mle_sam.export.layers import (
    ChannelsLastNorm,
    PixelShuffleUp,
    PlacedAttention,
    StackedMaskDecoder,
    StackedPerceptrons,
)
from mle_sam.export.precision import _DecoderAttention, _EncoderAttention, _HalfNorm
from mle_sam.vit_config import VIT_SIZES
import pytest
from sam2.modeling.backbones.hieradet import MultiScaleAttention
from sam2.modeling.sam.mask_decoder import MLP
from sam2.modeling.sam.transformer import Attention
from sam2.modeling.sam2_utils import LayerNorm2d
from segment_anything.modeling import image_encoder
import torch
from torch import nn

pytestmark = pytest.mark.usefixtures('_no_gradient')


@pytest.fixture
def _no_gradient():
    with torch.inference_mode():
        yield


def spread(module: nn.Module) -> nn.Module:
    """The module with random parameters that keep values at about 1."""
    for parameter in module.parameters():
        parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
    return module.eval()


def assert_near(got: torch.Tensor, expected: torch.Tensor, largest: float):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    assert (got - expected).abs().max() <= largest


def test_pixel_shuffle_is_the_transposed_convolution():
    plain, x = spread(nn.ConvTranspose2d(24, 10, 2, stride=2)), torch.randn(2, 24, 5, 7)
    assert_near(PixelShuffleUp(plain)(x), plain(x), 2e-6)


def test_channels_last_norm_is_the_norm():
    plain, x = spread(LayerNorm2d(24)), 3 + 10 * torch.randn(2, 24, 5, 7)
    assert_near(ChannelsLastNorm(plain)(x), plain(x), 2e-6)


def test_composed_convolution_is_both():
    first, second = spread(nn.Conv2d(24, 32, 1)), spread(nn.Conv2d(32, 8, 1))
    x = torch.randn(1, 24, 5, 7)
    assert_near(_compose(first, second)(x), second(first(x)), 2e-6)


def test_stacked_perceptrons_are_each_of_them():
    plain, x = [spread(MLP(24, 24, 3, 3)) for _ in range(5)], torch.randn(1, 5, 24)
    expected = torch.stack([own(x[:, index]) for index, own in enumerate(plain)], 1)
    assert_near(StackedPerceptrons(plain)(x), expected, 2e-6)


def test_composed_auxiliary_head_is_the_head():
    plain = spread(AuxiliaryHead((8, 16, 32), num_classes=5, width=12, dropout=0.1))
    levels = [torch.randn(1, 8 * s, 16 // s, 32 // s) for s in (1, 2, 4)]
    for got, expected in zip(_AuxiliaryGraph(plain)(levels), plain(levels), strict=True):
        assert_near(got, expected, 2e-6)


@pytest.mark.parametrize('pool', [None, nn.MaxPool2d(2, 2)])
def test_encoder_attention_is_that_of_sam_2(pool):
    plain = spread(MultiScaleAttention(24, 48, num_heads=2, q_pool=pool))
    x = torch.randn(3, 8, 8, 24)
    assert_near(_EncoderAttention(plain, torch.float32)(x), plain(x), 1e-6)


def test_decoder_attention_is_that_of_sam_2():
    plain = spread(Attention(32, num_heads=4, downsample_rate=2))
    q, k, v = torch.randn(1, 9, 32), torch.randn(1, 40, 32), torch.randn(1, 40, 32)
    assert_near(_DecoderAttention(plain, torch.float32)(q, k, v), plain(q, k, v), 1e-6)


@pytest.mark.parametrize(
    'map_hw',
    [(7, 7), (5, 9)],  # as many places as were learnt, and others, between which it interpolates
)
def test_placed_attention_is_that_of_sam(map_hw):
    plain = spread(image_encoder.Attention(24, num_heads=2, use_rel_pos=True, input_size=(7, 7)))
    x = torch.randn(3, *map_hw, 24)
    assert_near(PlacedAttention(plain, map_hw)(x), plain(x), 2e-6)


def test_stacked_mask_decoder_is_that_of_the_first_sam():
    size = VIT_SIZES['nano']
    plain = spread(build_mask_decoder(size, num_classes=5, is_sam1=True))
    prompt, features = NoPrompt(size, num_tokens=0), [torch.randn(1, size.d_model, 3, 4)]
    expected = decode_masks(plain, prompt, features)
    assert_near(decode_masks(StackedMaskDecoder(plain), prompt, features), expected, 2e-5)


@pytest.mark.parametrize(('core', 'largest'), [(torch.float16, 0.004), (torch.bfloat16, 0.02)])
def test_core_of_the_attention_has_a_precision_of_its_own(core, largest):
    plain, x = spread(MultiScaleAttention(24, 48, num_heads=2)), torch.randn(3, 8, 8, 24)
    expected = plain(x)
    got = _EncoderAttention(plain.half(), core)(x.half())
    assert got.dtype == torch.float16
    assert 0 < (got.float() - expected).abs().max() <= largest


@pytest.mark.parametrize('offset', [0.0, 3000.0])
def test_half_norm_overflows_nowhere(offset):
    """Squares of thousands are beyond float16, whose largest number is 65504."""
    norm = spread(nn.LayerNorm(24))
    x = (offset + 100 * torch.randn(5, 24)).half()
    got = _HalfNorm(norm)(x)
    assert got.dtype == torch.float16
    assert_near(got.float(), norm(x.float()), 2e-3)


def test_normalisation_stays_in_float32(model):
    """Intensities may be larger than float16 can hold."""
    raster = torch.full((1, 64, 128, 3), 70_000.0)
    image = Normalisation(model, ['lidar'])([raster])
    std = torch.tensor(model.config.modalities[2].std)
    mean = torch.tensor(model.config.modalities[2].mean)
    torch.testing.assert_close(image[0, :, 0, 0], (70_000.0 - mean) / std)
    assert image.half().isfinite().all() == (image.max() < 65504)
