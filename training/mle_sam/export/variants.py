"""The same network in the shapes that GPUs like: several modalities in one pass, any precision.

`StackedEncoder` takes one modality or several; `FuseDecode` is what follows; `Frame` is both. Each
is the network itself, reordered but not approximated: in float32 they agree with it to 1e-5.

After `cast` the matrix products and the attention run in half precision; rasters are normalised,
modalities weighed and fused, and logits compared in float32, as are the sums of layer norms.

Shape suffixes: M modalities, N tokens, W windows, H heads, C channels, D channels of a head.
"""

from collections.abc import Sequence

from sam2.modeling.backbones.hieradet import MultiScaleBlock
import torch
from torch import nn
from torch.nn import functional as F

from mle_sam.enlargement import SCALES
from mle_sam.export.graphs import EncoderGraph, FuseDecodeGraph
from mle_sam.fusion import Fusion
from mle_sam.lora import LoraLinear
from mle_sam.model import MleSam

EXPERTS = ('merged', 'low_rank')


class StackedEncoder(nn.Module):
    """The encoders of several modalities as one pass: all they share runs as one batch.

    They differ in the patch embedding and in the fused qkv projections, which become batched
    matrix products with a weight per modality (`merged`), or keep the shared weight and add the
    low-rank update to what comes out (`low_rank`).
    """

    def __init__(self, model: MleSam, modalities: Sequence[str], experts: str = 'merged'):
        """Take a copy of the weights.

        Args:
            model: the network.
            modalities: one or more of its modalities, in the order of the rasters.
            experts: one of `EXPERTS`.
        """
        super().__init__()
        graph = EncoderGraph(model, modalities[0])
        trunk, own = graph.trunk, model.image_encoder.trunk
        self.patches = _PatchEmbedding(model, modalities, graph.position)
        self.blocks = nn.ModuleList(
            _Block(block, _experts(original.attn.qkv, modalities, experts))
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


class FuseDecode(nn.Module):
    """Everything after the encoders, without what nothing reads; see `FuseDecodeGraph`."""

    def __init__(self, model: MleSam):
        super().__init__()
        network = FuseDecodeGraph(model).model
        decoder, prompt = network.sam_mask_decoder, network.sam_prompt_encoder
        self.fusion = network.fusion
        self.auxiliary_head = network.auxiliary_head if model.config.auxiliary_head else None
        self.transformer = decoder.transformer
        self.upscaling = decoder.output_upscaling
        self.hypernetworks = _StackedPerceptrons(decoder.output_hypernetworks_mlps[1:])
        height, width = model.config.input_hw
        position = prompt.position_encoding((height // 16, width // 16))
        tokens = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
        queries = torch.cat([*(token.weight for token in tokens), prompt.sparse(1)[0]])
        self.register_buffer('position', position.detach().contiguous())
        self.register_buffer('queries', queries[None].detach())
        self.register_buffer('no_mask', prompt.dense().detach())

    def forward(
        self,
        features_0: torch.Tensor,
        features_1: torch.Tensor,
        features_2: torch.Tensor,
        present: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Decode features (M, C, h, w) of any precision with present (M,) bool.

        Returns:
            label_map (H, W) uint8, confidence (H, W) uint8, router_weights (levels, M) float32.
        """
        levels = [features.float()[:, None] for features in (features_0, features_1, features_2)]
        fused, router_weights_1LM = self.fusion(levels, present[None])
        fused = [level.to(self.queries.dtype) for level in fused]
        logits = [self._masks(fused).float()]
        if self.auxiliary_head is not None:
            fine, *coarse = (scores.float() for scores in self.auxiliary_head(fused))
            logits = [0.5 * level for level in (logits[0] + fine, *coarse)]
        enlarged = [
            F.interpolate(level, scale_factor=float(scale), mode='bilinear')
            for level, scale in zip(logits, SCALES, strict=False)
        ]
        logits_KHW = sum(enlarged)[0]
        top, label_map = logits_KHW.max(0)
        confidence = 1.0 / (logits_KHW - top).exp().sum(0)
        return (
            label_map.to(torch.uint8),
            (confidence * 255.0).round().to(torch.uint8),
            router_weights_1LM[0],
        )

    def _masks(self, fused: list[torch.Tensor]) -> torch.Tensor:
        """The mask decoder's (1, K, H/4, W/4) logits."""
        fine, intermediate, semantic = fused
        hidden, image = self.transformer(semantic + self.no_mask, self.position, self.queries)
        image = image.transpose(1, 2).reshape(semantic.shape)
        first, norm, activation, second, last = self.upscaling
        image = activation(norm(first(image) + intermediate))
        image = last(second(image) + fine)
        # In front stand the tokens of the object score, of the IoU, and of mask 0.
        masks_1KC = self.hypernetworks(hidden[:, 3 : 3 + self.hypernetworks.num])
        return (masks_1KC @ image.flatten(2)).unflatten(2, fine.shape[-2:])


class Frame(nn.Module):
    """Encoders and what follows as one graph, for rasters that are all present.

    Those that are absent are the last ones: they have no encoder, and their slots hold zeros.
    """

    def __init__(self, encoders: Sequence[StackedEncoder], decoder: FuseDecode, columns: int):
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
        """Segment one instant; rasters as `StackedEncoder`, result as `FuseDecode`."""
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
        if not isinstance(child, (Fusion, _Normalisation)):
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
        self.normalise = _Normalisation(model, modalities)
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


class _Normalisation(nn.Module):
    """Rasters in units of their own, always in float32: event counts and metres reach far."""

    def __init__(self, model: MleSam, modalities: Sequence[str]):
        super().__init__()
        for name in ('mean', 'std'):
            values = [getattr(model.image_encoder, f'{name}_{m}') for m in modalities]
            self.register_buffer(name, torch.stack(values)[:, :, None, None].clone())

    def forward(self, rasters: Sequence[torch.Tensor]) -> torch.Tensor:
        images_M3HW = torch.cat([raster.float().permute(0, 3, 1, 2) for raster in rasters])
        return (images_M3HW - self.mean) / self.std


class _Block(nn.Module):
    """SAM 2's `MultiScaleBlock` for a batch of modalities."""

    def __init__(self, original: MultiScaleBlock, experts: nn.Module):
        super().__init__()
        self.window = original.window_size
        self.stride = original.q_stride[0] if original.q_stride else 1
        self.num_heads = original.attn.num_heads
        self.norm1, self.norm2, self.mlp = original.norm1, original.norm2, original.mlp
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
        answer = F.scaled_dot_product_attention(
            query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        )
        answer = self.project(answer.transpose(1, 2).flatten(2))
        answer = answer.unflatten(1, (height // self.stride, width // self.stride))
        return _join(answer, grid_hw, out_hw)


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


class _StackedPerceptrons(nn.Module):
    """Perceptrons of equal shape, each for its own token, as one product per layer."""

    def __init__(self, originals: Sequence[nn.Module]):
        super().__init__()
        self.num = len(originals)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layers in zip(*(original.layers for original in originals), strict=True):
            weight = torch.stack([layer.weight.detach().t() for layer in layers])
            bias = torch.stack([layer.bias.detach()[None] for layer in layers])
            self.weights.append(nn.Parameter(weight.contiguous(), requires_grad=False))
            self.biases.append(nn.Parameter(bias, requires_grad=False))

    def forward(self, tokens_1KC: torch.Tensor) -> torch.Tensor:
        x_K1C = tokens_1KC.transpose(0, 1)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x_K1C = torch.baddbmm(bias, x_K1C, weight)
            x_K1C = x_K1C if index == last else x_K1C.relu()
        return x_K1C.transpose(0, 1)


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
