"""SegFormer's encoder against loops written from the paper, and the names of its checkpoints."""

from mle_sam.cmnext_config import MIT_SIZES
from mle_sam.models.mix_transformer import MixTransformer
import pytest
import torch
from torch import nn
from torchvision.ops import StochasticDepth

CHANNELS, DEPTHS = (4, 8, 20, 16), (1, 2, 1, 1)
HEADS, REDUCTIONS = (1, 2, 5, 8), (8, 4, 2, 1)


# The same, pixel by pixel and head by head, with nothing but products and sums.


def normalised(tokens_NC, state, name, eps):
    centred = tokens_NC - tokens_NC.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + eps).sqrt()
    return scaled * state[f'{name}.weight'] + state[f'{name}.bias']


def linear(tokens_NC, state, name):
    return tokens_NC @ state[f'{name}.weight'].t() + state[f'{name}.bias']


def convolved(x_CHW, state, name, stride, padding):
    """Any convolution but those of groups, (N, C) of its pixels row by row, and their size."""
    weight, bias = state[f'{name}.weight'], state[f'{name}.bias']
    channels, (side, _) = x_CHW.shape[0], weight.shape[2:]
    height, width = ((size + 2 * padding - side) // stride + 1 for size in x_CHW.shape[1:])
    padded = x_CHW.new_zeros(channels, *(size + 2 * padding for size in x_CHW.shape[1:]))
    padded[:, padding : padding + x_CHW.shape[1], padding : padding + x_CHW.shape[2]] = x_CHW
    tokens = [
        (weight * padded[:, row : row + side, column : column + side]).sum((1, 2, 3)) + bias
        for row in range(0, height * stride, stride)
        for column in range(0, width * stride, stride)
    ]
    return torch.stack(tokens), (height, width)


def attended(tokens_NC, size_hw, state, name, num_heads, reduction):
    seen = tokens_NC
    if reduction > 1:
        map_CHW = tokens_NC.t().unflatten(1, size_hw)
        seen, _ = convolved(map_CHW, state, f'{name}.sr', reduction, 0)
        seen = normalised(seen, state, f'{name}.norm', 1e-5)
    query = linear(tokens_NC, state, f'{name}.q')
    key, value = linear(seen, state, f'{name}.kv').chunk(2, 1)
    answer = torch.zeros_like(query)
    width = query.shape[1] // num_heads
    for head in range(num_heads):
        own = slice(head * width, (head + 1) * width)
        for pixel in range(len(query)):
            score = torch.stack([query[pixel, own] @ k[own] for k in key]) / width**0.5
            share = score.exp() / score.exp().sum()
            answer[pixel, own] = sum(s * v[own] for s, v in zip(share, value, strict=True))
    return linear(answer, state, f'{name}.proj')


def perceived(tokens_NC, size_hw, state, name):
    hidden = linear(tokens_NC, state, f'{name}.fc1')
    maps, spread = hidden.t().unflatten(1, size_hw), []
    for channel, map_HW in enumerate(maps):
        of_channel = {
            'weight': state[f'{name}.dwconv.dwconv.weight'][channel][None],
            'bias': state[f'{name}.dwconv.dwconv.bias'][channel][None],
        }
        of_channel = {f'one.{key}': tensor for key, tensor in of_channel.items()}
        spread.append(convolved(map_HW[None], of_channel, 'one', 1, 1)[0][:, 0])
    wide = torch.stack(spread, 1)
    return linear(wide * (1 + torch.erf(wide / 2**0.5)) / 2, state, f'{name}.fc2')


def slow_stage(x_CHW, state, stage):
    side, stride = ((7, 4), (3, 2))[stage > 0]
    name = f'patch_embed{stage + 1}'
    x, size_hw = convolved(x_CHW, state, f'{name}.proj', stride, side // 2)
    x = normalised(x, state, f'{name}.norm', 1e-5)
    for index in range(DEPTHS[stage]):
        block = f'block{stage + 1}.{index}'
        normal = normalised(x, state, f'{block}.norm1', 1e-6)
        heads_and_reduction = HEADS[stage], REDUCTIONS[stage]
        x = x + attended(normal, size_hw, state, f'{block}.attn', *heads_and_reduction)
        normal = normalised(x, state, f'{block}.norm2', 1e-6)
        x = x + perceived(normal, size_hw, state, f'{block}.mlp')
    return normalised(x, state, f'norm{stage + 1}', 1e-6).t().unflatten(1, size_hw)


@torch.inference_mode()
@pytest.mark.parametrize('batch', [1, 2])
def test_every_stage_is_the_papers(batch):
    torch.manual_seed(batch)
    model = MixTransformer(CHANNELS, DEPTHS, 0.5).double().eval()
    for parameter in model.parameters():
        parameter.normal_(0, 0.3)
    state, x_BCHW = model.state_dict(), torch.randn(batch, 3, 32, 64, dtype=torch.float64)
    for stage in range(4):
        got = model.blocks(model.patches(x_BCHW, stage), stage)
        expected = torch.stack([slow_stage(x_CHW, state, stage) for x_CHW in x_BCHW])
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)
        x_BCHW = expected


def published_layout(channels, depths) -> dict[str, tuple[int, ...]]:
    """Names and shapes of SegFormer's MiT checkpoints, without the classifier."""
    layout: dict[str, tuple[int, ...]] = {}

    def layer(name: str, *weight: int) -> None:
        layout[f'{name}.weight'], layout[f'{name}.bias'] = weight, weight[:1]

    for number, (width, depth, reduction) in enumerate(
        zip(channels, depths, REDUCTIONS, strict=True), 1
    ):
        first = number == 1
        side, inputs = (7, 3) if first else (3, channels[number - 2])
        layer(f'patch_embed{number}.proj', width, inputs, side, side)
        layer(f'patch_embed{number}.norm', width)
        layer(f'norm{number}', width)
        for index in range(depth):
            block = f'block{number}.{index}'
            layer(f'{block}.norm1', width)
            layer(f'{block}.norm2', width)
            layer(f'{block}.attn.q', width, width)
            layer(f'{block}.attn.kv', 2 * width, width)
            layer(f'{block}.attn.proj', width, width)
            if reduction > 1:
                layer(f'{block}.attn.sr', width, width, reduction, reduction)
                layer(f'{block}.attn.norm', width)
            layer(f'{block}.mlp.fc1', 4 * width, width)
            layer(f'{block}.mlp.dwconv.dwconv', 4 * width, 1, 3, 3)
            layer(f'{block}.mlp.fc2', width, 4 * width)
    return layout


@pytest.mark.parametrize(('name', 'millions'), [('b0', 3.32), ('b2', 24.20)])
def test_published_checkpoints_fit(name, millions):
    size = MIT_SIZES[name]
    state = MixTransformer(size.channels, size.depths, 0.1).state_dict()
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    assert shapes == published_layout(size.channels, size.depths)
    count = sum(tensor.numel() for tensor in state.values())
    assert count / 1e6 == pytest.approx(millions, abs=0.005)


def test_layers_begin_as_public_code_does():
    size = MIT_SIZES['b0']
    model = MixTransformer(size.channels, size.depths, 0.1)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.15)
        elif isinstance(module, nn.Conv2d):
            side, _ = module.kernel_size
            expected = (2 * module.groups / (side * side * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.15)
        else:
            continue
        assert module.bias.abs().max() == 0
        assert module.weight.abs().max() < 8 * module.weight.std()


def test_later_blocks_are_skipped_more_often():
    model = MixTransformer(CHANNELS, DEPTHS, 0.4)
    rates = [m.p for m in model.modules() if isinstance(m, StochasticDepth)]
    assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
