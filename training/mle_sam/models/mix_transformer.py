"""Mix transformer, SegFormer's encoder (arXiv 2105.15203), written from the paper.

Parameters have the names and shapes of its published checkpoints, which fit.

Shape suffixes: B batch, C channels, H height, W width, h heads, N pixels, D channels of a head.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

NUM_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
_MLP_RATIO = 4
_EPS = 1e-6  # of the norms in and after blocks; the others have torch's 1e-5


class MixTransformer(nn.Module):
    """Four stages, at 1/4, 1/8, 1/16 and 1/32 of the input; their maps are (B, C, H, W)."""

    def __init__(self, channels: Sequence[int], depths: Sequence[int], drop_path: float):
        super().__init__()
        rates = drop_paths(drop_path, depths)
        for stage, (width, heads) in enumerate(zip(channels, NUM_HEADS, strict=True)):
            inputs, side = (channels[stage - 1], 3) if stage else (3, 7)
            blocks = (Block(width, heads, _REDUCTIONS[stage], rate) for rate in rates[stage])
            self.add_module(f'patch_embed{stage + 1}', PatchEmbedding(inputs, width, side))
            self.add_module(f'block{stage + 1}', nn.Sequential(*blocks))
            self.add_module(f'norm{stage + 1}', nn.LayerNorm(width, _EPS))
        self.apply(_initialise)

    def patches(self, x_BCHW: torch.Tensor, stage: int) -> torch.Tensor:
        """How a stage (from 0) begins: a quarter of the image's size, or half of the map's."""
        return self.get_submodule(f'patch_embed{stage + 1}')(x_BCHW)

    def blocks(self, x_BCHW: torch.Tensor, stage: int) -> torch.Tensor:
        """How a stage goes on from its patches; the shape stays."""
        x_BHWC = self.get_submodule(f'block{stage + 1}')(x_BCHW.permute(0, 2, 3, 1))
        return self.get_submodule(f'norm{stage + 1}')(x_BHWC).permute(0, 3, 1, 2)


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution, normalised."""

    def __init__(self, inputs: int, outputs: int, side: int):
        super().__init__()
        self.proj = patch_convolution(inputs, outputs, side)
        self.norm = MapNorm(outputs)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """A quarter of the size for patches of 7 x 7, half for 3 x 3."""
        return self.norm(self.proj(x_BCHW))


class MapNorm(nn.LayerNorm):
    """Layer normalisation of (B, C, H, W) over C."""

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        return super().forward(x_BCHW.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Attention, then the perceptron, each beside a skip."""

    def __init__(self, width: int, num_heads: int, reduction: int, drop_path: float):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, _EPS), nn.LayerNorm(width, _EPS)
        self.attn = ReducedAttention(width, num_heads, reduction)
        self.mlp = MixPerceptron(width, _MLP_RATIO * width)
        self.drop_path = StochasticDepth(drop_path, 'row')

    def forward(self, x_BHWC: torch.Tensor) -> torch.Tensor:
        """The shape stays."""
        x_BHWC = x_BHWC + self.drop_path(self.attn(self.norm1(x_BHWC)))
        return x_BHWC + self.drop_path(self.mlp(self.norm2(x_BHWC)))


class ReducedAttention(nn.Module):
    """Every pixel attends to a map that is smaller by the reduction, on either side."""

    def __init__(self, width: int, num_heads: int, reduction: int):
        super().__init__()
        self.num_heads, self.reduction = num_heads, reduction
        self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.norm = MapNorm(width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BHWC: torch.Tensor) -> torch.Tensor:
        """Attend; the shape stays."""
        seen_BHWC = x_BHWC
        if self.reduction > 1:
            seen_BHWC = self.norm(self.sr(x_BHWC.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        query_BNhD = self.q(x_BHWC).flatten(1, 2).unflatten(2, (self.num_heads, -1))
        both_BN2hD = self.kv(seen_BHWC).flatten(1, 2).unflatten(2, (2, self.num_heads, -1))
        key_BhND, value_BhND = both_BN2hD.permute(2, 0, 3, 1, 4).unbind(0)
        answer_BhND = F.scaled_dot_product_attention(
            query_BNhD.transpose(1, 2), key_BhND, value_BhND
        )
        return self.proj(answer_BhND.transpose(1, 2).flatten(2).unflatten(1, x_BHWC.shape[1:3]))


class MixPerceptron(nn.Module):
    """Mix-FFN: a depth-wise convolution in the perceptron says where a pixel is."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.dwconv = nn.Sequential(OrderedDict(dwconv=depthwise))

    def forward(self, x_BHWC: torch.Tensor) -> torch.Tensor:
        """The shape stays."""
        spread = self.dwconv(self.fc1(x_BHWC).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.fc2(F.gelu(spread))


def patch_convolution(inputs: int, outputs: int, side: int) -> nn.Conv2d:
    """Patches that overlap: 7 x 7 every 4 pixels, or 3 x 3 every 2."""
    return nn.Conv2d(inputs, outputs, side, {7: 4, 3: 2}[side], side // 2)


def drop_paths(last: float, depths: Sequence[int]) -> list[list[float]]:
    """By stage and block the probability to be skipped in training, from 0 up to the last's."""
    rates = torch.linspace(0, last, sum(depths)).split(list(depths))
    return [rate.tolist() for rate in rates]


def _initialise(module: nn.Module) -> None:
    """As public code begins: normal, convolutions by what each input pixel reaches."""
    if isinstance(module, nn.Linear):
        # Not truncated: at 100 deviations torch's truncation now and then gives the bound itself.
        nn.init.normal_(module.weight, std=0.02)
    elif isinstance(module, nn.Conv2d):
        reached = module.weight[:, 0].numel() / module.groups
        nn.init.normal_(module.weight, std=(2 / reached) ** 0.5)
    else:
        return
    nn.init.zeros_(module.bias)
