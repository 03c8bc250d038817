"""The same network in the shapes that GPUs like: several modalities in one pass, any precision.

`StackedEncoder` takes one modality or several, `fuse_decode` is the rest, `Frame` is both. Each is
the network itself, reordered but not approximated: in float32 they agree with it to 1e-5. Only
`Kernels` may ask for something else.

After `cast` the matrix products and the attention run in half precision; rasters are normalised,
modalities weighed and fused, and logits compared in float32, as are the sums of layer norms.

Shape suffixes: M modalities, N tokens, W windows, H heads, C channels, D channels of a head, K
classes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sam2.modeling.backbones.hieradet import MultiScaleBlock
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.export.enlarging import ResizedEnlargement
from mle_sam.export.graphs import EncoderGraph, FuseDecodeGraph, Normalisation
from mle_sam.export.layers import InFloat32
from mle_sam.fusion import Fusion
from mle_sam.lora import LoraLinear
from mle_sam.models.mle_sam import MleSam

EXPERTS = ('merged', 'low_rank')


@dataclass(frozen=True)
class Kernels:
    """What computes two steps of an encoder.

    Attributes:
        windows: attention within windows: `torch`, or `triton`, see `window_attention`.
        gelu: `exact`, or `tanh`, the approximation (to 5e-4) that cuBLAS fuses into the product
            before it, which saves a pass over the widest tensors.
    """

    windows: str = 'torch'
    gelu: str = 'exact'


class StackedEncoder(nn.Module):
    """The encoders of several modalities as one pass: all they share runs as one batch.

    They differ in the patch embedding and in the fused qkv projections, which become batched
    matrix products with a weight per modality (`merged`), or keep the shared weight and add the
    low-rank update to what comes out (`low_rank`).
    """

    def __init__(
        self,
        model: MleSam,
        modalities: Sequence[str],
        experts: str = 'merged',
        kernels: Kernels = Kernels(),
    ):
        """Take a copy of the weights.

        Args:
            model: the network.
            modalities: one or more of its modalities, in the order of the rasters.
            experts: one of `EXPERTS`.
            kernels: what computes.
        """
        super().__init__()
        graph = EncoderGraph(model, modalities[0])
        trunk, own = graph.trunk, model.image_encoder.trunk
        self.patches = _PatchEmbedding(model, modalities, graph.position)
        self.blocks = nn.ModuleList(
            _Block(block, _experts(original.attn.qkv, modalities, experts), kernels)
            for block, original in zip(trunk.blocks, own.blocks, strict=True)
        )
        self.stage_ends = tuple(trunk.stage_ends)
        # From the coarsest stage to the finest, as in the neck.
        self.laterals = nn.ModuleList(_pixelwise(conv) for conv in graph.neck.convs)

    def forward(self, *rasters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encode one instant.

        Args:
            rasters: (1, H, W, 3) per modality, uint8 or float32.

        Returns:
            Maps (M, C, h, w) at 1/4, 1/8 and 1/16 in the precision of the weights.
        """
        x_MhwC = self.patches(rasters)
        stages = []
        for index, block in enumerate(self.blocks):
            x_MhwC = block(x_MhwC)
            if index in self.stage_ends:
                stages.append(x_MhwC)
        coarsest, *laterals = (
            lateral(stage) for lateral, stage in zip(self.laterals, reversed(stages), strict=True)
        )
        semantic = laterals[0] + coarsest.repeat_interleave(2, 1).repeat_interleave(2, 2)
        pyramid = (laterals[2], laterals[1], semantic)
        fine, intermediate, semantic = (x.permute(0, 3, 1, 2).contiguous() for x in pyramid)
        return fine, intermediate, semantic


def fuse_decode(model: MleSam) -> FuseDecodeGraph:
    """What follows the encoders, with the enlargement that GPUs are fast at."""
    return FuseDecodeGraph(model, ResizedEnlargement()).eval()


class Frame(nn.Module):
    """Encoders and what follows as one graph, for rasters that are all present.

    Those that are absent are the last ones: they have no encoder, and their slots hold zeros.
    """

    def __init__(self, encoders: Sequence[StackedEncoder], decoder: FuseDecodeGraph, columns: int):
        """Join the parts.

        Args:
            encoders: one per modality, or one for all of them.
            decoder: of the same network.
            columns: number of modalities of the network; those encoded are the first ones.
        """
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.decoder = decoder
        self.num_absent = columns - sum(encoder.patches.num for encoder in encoders)
        present = torch.arange(columns) < columns - self.num_absent
        self.register_buffer('present', present, persistent=False)

    def forward(self, *rasters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Segment one instant; rasters as `StackedEncoder`, result as `FuseDecodeGraph`."""
        return self.decode(*self.encode(*rasters))

    def encode(self, *rasters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Maps of those that are there, as `StackedEncoder`."""
        rest, encoded = list(rasters), []
        for encoder in self.encoders:
            own, rest = rest[: encoder.patches.num], rest[encoder.patches.num :]
            encoded.append(encoder(*own))
        fine, intermediate, semantic = (torch.cat(level) for level in zip(*encoded, strict=True))
        return fine, intermediate, semantic

    def decode(self, *levels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The result, from the maps of those that are there."""
        padded = [
            torch.cat([level, level.new_zeros(self.num_absent, *level.shape[1:])])
            for level in levels
        ]
        return self.decoder(*padded, self.present)


def cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Let a module of this file work in a precision, in place; what must stay float32 does."""
    for child in module.children():
        if not isinstance(child, (Fusion, InFloat32, Normalisation)):
            cast(child, dtype)
    for parameter in module.parameters(recurse=False):
        parameter.data = parameter.data.to(dtype)
    for name, buffer in module.named_buffers(recurse=False):
        if buffer.is_floating_point():
            setattr(module, name, buffer.to(dtype))
    return module


class _PatchEmbedding(nn.Module):
    """The strided convolution as one matrix product, with the position embedding as its bias."""

    def __init__(self, model: MleSam, modalities: Sequence[str], position_1hwC: torch.Tensor):
        super().__init__()
        encoder = model.image_encoder
        self.num = len(modalities)
        self.map_hw = tuple(position_1hwC.shape[1:3])
        embeddings = [
            encoder.input_adapters[name]
            if name in encoder.input_adapters
            else encoder.trunk.patch_embed
            for name in modalities
        ]
        convs = [embedding.proj for embedding in embeddings]
        self.geometry = {
            'kernel_size': convs[0].kernel_size,
            'padding': convs[0].padding,
            'stride': convs[0].stride,
        }
        self.normalise = Normalisation(model, modalities)
        weights = [conv.weight.detach().flatten(1).t() for conv in convs]
        self.weight = nn.Parameter(torch.stack(weights), requires_grad=False)
        # Bias and position in one: (M, N, C).
        offsets = [position_1hwC.flatten(1, 2)[0] + conv.bias.detach() for conv in convs]
        self.offset = nn.Parameter(torch.stack(offsets), requires_grad=False)

    def forward(self, rasters: Sequence[torch.Tensor]) -> torch.Tensor:
        images_M3HW = self.normalise(rasters).to(self.weight.dtype)
        patches_MNP = F.unfold(images_M3HW, **self.geometry).transpose(1, 2)
        x_MNC = torch.baddbmm(self.offset, patches_MNP, self.weight)
        return x_MNC.unflatten(1, self.map_hw)


class _Block(nn.Module):
    """SAM 2's `MultiScaleBlock` for a batch of modalities."""

    def __init__(self, original: MultiScaleBlock, experts: nn.Module, kernels: Kernels):
        super().__init__()
        self.window = original.window_size
        in_windows = self.window and kernels.windows == 'triton'
        self.attention = _triton_attention() if in_windows else _torch_attention
        self.stride = original.q_stride[0] if original.q_stride else 1
        self.num_heads = original.attn.num_heads
        self.norm1, self.norm2 = original.norm1, original.norm2
        self.mlp = _TanhPerceptron(original.mlp) if kernels.gelu == 'tanh' else original.mlp
        self.experts, self.project = experts, original.attn.proj
        self.widen = original.proj if original.dim != original.dim_out else None

    def forward(self, x_MhwC: torch.Tensor) -> torch.Tensor:
        normal = self.norm1(x_MhwC)
        shortcut = x_MhwC
        if self.widen is not None:
            shortcut = _pooled(self.widen(normal), self.stride)
        x_MhwC = shortcut + self._attend(normal, tuple(shortcut.shape[1:3]))
        return x_MhwC + self.mlp(self.norm2(x_MhwC))

    def _attend(self, normal: torch.Tensor, out_hw: tuple[int, int]) -> torch.Tensor:
        windows, grid_hw = _cut(normal, self.window)
        num, (height, width) = windows.shape[0], windows.shape[1:3]
        qkv = self.experts(windows.reshape(len(normal), -1, windows.shape[-1]))
        qkv = qkv.reshape(num, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.unbind(2)
        if self.stride > 1:
            query = _pooled(query.flatten(2).unflatten(1, (height, width)), self.stride)
            query = query.flatten(1, 2).unflatten(2, (self.num_heads, -1))
        answer = self.project(self.attention(query, key, value).flatten(2))
        answer = answer.unflatten(1, (height // self.stride, width // self.stride))
        return _join(answer, grid_hw, out_hw)


class _TanhPerceptron(nn.Module):
    """SAM 2's `MLP` of two layers, its activation approximated within the first product."""

    def __init__(self, original: nn.Module):
        super().__init__()
        self.first, self.second = original.layers

    def forward(self, x_MhwC: torch.Tensor) -> torch.Tensor:
        hidden = torch._addmm_activation(
            self.first.bias, x_MhwC.flatten(0, 2), self.first.weight.t(), use_gelu=True
        )
        return self.second(hidden).view(x_MhwC.shape)


class _MergedExperts(nn.Module):
    """A qkv projection with a weight per modality."""

    def __init__(self, qkv: nn.Linear, modalities: Sequence[str]):
        super().__init__()
        weights = [_merged_weight(qkv, modality).detach().t() for modality in modalities]
        self.weight = nn.Parameter(torch.stack(weights).contiguous(), requires_grad=False)
        self.bias = nn.Parameter(qkv.bias.detach().clone(), requires_grad=False)

    def forward(self, x_MNC: torch.Tensor) -> torch.Tensor:
        if len(self.weight) == 1:
            return F.linear(x_MNC, self.weight[0].t(), self.bias)
        return torch.baddbmm(self.bias, x_MNC, self.weight)


class _LowRankExperts(nn.Module):
    """The shared qkv projection, and beside it a low-rank update of q and v per modality."""

    def __init__(self, qkv: LoraLinear, modalities: Sequence[str]):
        super().__init__()
        self.shared = nn.Linear(qkv.in_features, qkv.out_features)
        self.shared.weight = nn.Parameter(qkv.weight.detach().clone(), requires_grad=False)
        self.shared.bias = nn.Parameter(qkv.bias.detach().clone(), requires_grad=False)
        factors = [_factors(qkv, modality) for modality in modalities]
        down, up = (torch.stack(part) for part in zip(*factors, strict=True))
        self.down = nn.Parameter(down, requires_grad=False)
        self.up = nn.Parameter(up, requires_grad=False)

    def forward(self, x_MNC: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.shared(x_MNC), torch.bmm(x_MNC, self.down), self.up)


def _torch_attention(
    query_WNHD: torch.Tensor, key_WNHD: torch.Tensor, value_WNHD: torch.Tensor
) -> torch.Tensor:
    answer_WHND = F.scaled_dot_product_attention(
        query_WNHD.transpose(1, 2), key_WNHD.transpose(1, 2), value_WNHD.transpose(1, 2)
    )
    return answer_WHND.transpose(1, 2)


def _triton_attention() -> Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]:
    # Imported here: only GPUs have Triton.
    from mle_sam.export.window_attention import window_attention

    return window_attention


def _experts(qkv: nn.Linear, modalities: Sequence[str], kind: str) -> nn.Module:
    if kind == 'low_rank' and isinstance(qkv, LoraLinear):
        return _LowRankExperts(qkv, modalities)
    return _MergedExperts(qkv, modalities)


def _merged_weight(qkv: nn.Linear, modality: str) -> torch.Tensor:
    return qkv.merged_weight(modality) if isinstance(qkv, LoraLinear) else qkv.weight


def _factors(qkv: LoraLinear, modality: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors (C, 2R) and (2R, 3 * C_out) of one modality's update of q, k and v; k gets none."""
    expert = qkv.experts[modality]
    rows, rank = expert.query_up.shape
    down = torch.cat([expert.query_down, expert.value_down]).detach().t()
    up = expert.query_up.new_zeros(2 * rank, qkv.out_features).detach()
    up[:rank, :rows] = expert.query_up.detach().t()
    up[rank:, -rows:] = expert.value_up.detach().t()
    return down, up


def _pixelwise(conv: nn.Module) -> nn.Linear:
    """A 1x1 convolution as a product over the last axis."""
    conv = conv if isinstance(conv, nn.Conv2d) else conv.conv
    linear = nn.Linear(conv.in_channels, conv.out_channels)
    linear.weight = nn.Parameter(conv.weight.detach()[:, :, 0, 0].clone(), requires_grad=False)
    linear.bias = nn.Parameter(conv.bias.detach().clone(), requires_grad=False)
    return linear


def _pooled(x_BhwC: torch.Tensor, stride: int) -> torch.Tensor:
    """The maximum over squares."""
    if stride == 1:
        return x_BhwC
    return x_BhwC.unflatten(2, (-1, stride)).unflatten(1, (-1, stride)).amax((2, 4))


def _cut(x_MhwC: torch.Tensor, side: int) -> tuple[torch.Tensor, tuple[int, int]]:
    """Windows (M * W, side, side, C), zeros beyond the border, and how many there are each way.

    Side 0 is one window over everything.
    """
    if not side:
        return x_MhwC, (1, 1)
    height, width = x_MhwC.shape[1:3]
    padded = F.pad(x_MhwC, (0, 0, 0, -width % side, 0, -height % side))
    squares = padded.unflatten(2, (-1, side)).unflatten(1, (-1, side))
    rows, columns = squares.shape[1], squares.shape[3]
    return squares.transpose(2, 3).flatten(0, 2), (rows, columns)


def _join(
    windows: torch.Tensor, grid_hw: tuple[int, int], out_hw: tuple[int, int]
) -> torch.Tensor:
    """What `_cut` has cut, as maps (M, h, w, C) without what lies beyond the border."""
    maps = windows.unflatten(0, (-1, *grid_hw)).transpose(2, 3)
    maps = maps.flatten(3, 4).flatten(1, 2)
    return maps[:, : out_hw[0], : out_hw[1]]
