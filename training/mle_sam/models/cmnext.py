"""CMNeXt (arXiv 2303.01480): a hub that queries all other sensors, beside the camera.

Shape suffixes: B batch, M modalities, K classes, C channels, H height, W width.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

from mle_sam.cmnext_config import CmnextConfig
from mle_sam.config import Stage
from mle_sam.models.cmx import FeatureFusion, Rectification
from mle_sam.models.mix_transformer import (
    drop_paths,
    MapNorm,
    MixTransformer,
    NUM_HEADS,
    patch_convolution,
)
from mle_sam.models.network import Network, Segmentation
from mle_sam.normalisation import Normalisation

_MLP_RATIOS = (8, 8, 4, 4)  # of the branch of the other sensors


class Cmnext(Network):
    """Patches of each sensor by itself; everything else after the sensors are known.

    That the branches meet at every stage leaves little to encode apart: an absent sensor saves its
    patches only.
    """

    config: CmnextConfig

    def __init__(self, config: CmnextConfig):
        size, others = config.widths, config.modality_names[1:]
        super().__init__(config, size.channels[:1])
        self.normalise = Normalisation(config.modalities)
        self.camera = MixTransformer(size.channels, size.depths, config.drop_path)
        steps = zip((3, *size.channels), size.channels, strict=False)
        self.shrinkers = nn.ModuleList(
            Shrinker(inputs, outputs, 7 if inputs == 3 else 3, others) for inputs, outputs in steps
        )
        rates = drop_paths(config.drop_path, size.depths)
        self.hubs = nn.ModuleList(
            Hub(width, others, ratio, rate)
            for width, ratio, rate in zip(size.channels, _MLP_RATIOS, rates, strict=True)
        )
        self.rectifications = nn.ModuleList(Rectification(width) for width in size.channels)
        self.fusions = nn.ModuleList(
            FeatureFusion(*pair) for pair in zip(size.channels, NUM_HEADS, strict=True)
        )
        self.head = SegmentationHead(size.channels, size.head, config.num_classes, config.dropout)

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """The patches of one sensor, (B, C, H/4, W/4)."""
        image_B3HW = self.normalise(raster_BHW3, modality)
        if modality == self.config.modality_names[0]:
            return [self.camera.patches(image_B3HW, 0)]
        return [self.shrinkers[0](image_B3HW, modality)]

    def decode(self, levels: list[torch.Tensor], present_BM: torch.Tensor) -> Segmentation:
        """Four stages in which the camera and the hub of all others meet, then the head."""
        (patches_MBChw,) = levels
        is_there_MB111 = present_BM.t()[:, :, None, None, None]
        camera, *streams = torch.where(is_there_MB111, patches_MBChw, 0.0)
        is_there = is_there_MB111[1:]
        names, fused = self.config.modality_names[1:], []
        for index, hub in enumerate(self.hubs):
            if index:
                camera = self.camera.patches(camera, index)
                streams = [
                    self.shrinkers[index](stream, name)
                    for stream, name in zip(streams, names, strict=True)
                ]
            camera = self.camera.blocks(camera, index)
            streams, joint = hub(dict(zip(names, streams, strict=True)), is_there)
            camera, joint = self.rectifications[index](camera, joint)
            fused.append(self.fusions[index](camera, joint))
            streams = [stream + joint for stream in streams]
        share_BM = present_BM.float() / present_BM.sum(1, keepdim=True)
        return Segmentation(([self.head(fused)],), share_BM[:, None])

    def trainable(self, stage: Stage) -> set[str]:
        """Everything."""
        return {name for name, _ in self.named_parameters()}


class Shrinker(nn.Module):
    """Overlapping patches, shared by all sensors but for the normalisation."""

    def __init__(self, inputs: int, outputs: int, side: int, names: tuple[str, ...]):
        super().__init__()
        self.convolution = patch_convolution(inputs, outputs, side)
        self.norms = nn.ModuleDict({name: MapNorm(outputs, eps=1e-6) for name in names})

    def forward(self, x_BCHW: torch.Tensor, modality: str) -> torch.Tensor:
        """A quarter, or half, of the size."""
        return self.norms[modality](self.convolution(x_BCHW))


class Hub(nn.Module):
    """Self-query hub, then the blocks that all sensors but the camera share."""

    def __init__(self, width: int, names: tuple[str, ...], ratio: int, drop_paths: list[float]):
        super().__init__()
        # One sensor has nobody to compete with (public code).
        asking = names if len(names) > 1 else ()
        self.queries = nn.ModuleDict({name: _query(width) for name in asking})
        self.blocks = nn.Sequential(*(PoolingMixer(width, ratio, rate) for rate in drop_paths))
        self.norm = MapNorm(width, eps=1e-6)

    def forward(
        self, streams: dict[str, torch.Tensor], is_there: torch.Tensor
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Each stream with what it finds in itself, and the joint map.

        Args:
            streams: of each sensor but the camera, (B, C, h, w).
            is_there: (M - 1, B, 1, 1, 1) bool.
        """
        asked = [
            x + self.queries[name](x).sigmoid() * x if name in self.queries else x
            for name, x in streams.items()
        ]
        stack = torch.stack(asked)
        top = stack.where(is_there, torch.finfo(stack.dtype).min).amax(0)
        joint = torch.where(is_there.any(0), top, 0.0)
        return asked, self.norm(self.blocks(joint))


class PoolingMixer(nn.Module):
    """Parallel pooling mixer (PPX): pools of three sizes, a weight per channel, a perceptron."""

    def __init__(self, width: int, ratio: int, drop_path: float):
        super().__init__()
        self.norm_1, self.norm_2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.spread = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.pools = nn.ModuleList(
            nn.AvgPool2d(side, 1, side // 2, count_include_pad=False) for side in (3, 7, 11)
        )
        self.mix = nn.Conv2d(width, width, 1)
        self.of_channels = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        hidden = ratio * width
        self.perceptron = nn.Sequential(
            nn.Conv2d(width, hidden, 1),
            nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden),
            nn.GELU(),
            nn.Conv2d(hidden, width, 1),
        )
        self.scale_1 = nn.Parameter(torch.full((width, 1, 1), 0.01))
        self.scale_2 = nn.Parameter(torch.full((width, 1, 1), 0.01))
        self.drop_path = StochasticDepth(drop_path, 'row')

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Mix; the shape stays."""
        x = x_BCHW + self.drop_path(self.scale_1 * self._pooled(self.norm_1(x_BCHW)))
        mean_B1C = x.mean((2, 3))[:, None]
        share_BC11 = self.of_channels(mean_B1C).sigmoid()[:, 0, :, None, None]
        return share_BC11 * x + self.drop_path(self.scale_2 * self.perceptron(self.norm_2(x)))

    def _pooled(self, normal: torch.Tensor) -> torch.Tensor:
        spread = self.spread(normal)
        share = self.mix(spread + sum(pool(spread) for pool in self.pools)).sigmoid()
        return normal + share * normal


class SegmentationHead(nn.Module):
    """SegFormer's: each stage to the same width, enlarged to the finest, joined."""

    def __init__(self, channels: tuple[int, ...], width: int, num_classes: int, dropout: float):
        super().__init__()
        self.project = nn.ModuleList(nn.Conv2d(inputs, width, 1) for inputs in channels)
        self.fuse = nn.Sequential(
            nn.Conv2d(width * len(channels), width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.dropout = nn.Dropout2d(dropout)
        self.classify = nn.Conv2d(width, num_classes, 1)

    def forward(self, stages: list[torch.Tensor]) -> torch.Tensor:
        """(B, K, H/4, W/4) logits."""
        size_hw = stages[0].shape[2:]
        levels = [project(x) for project, x in zip(self.project, stages, strict=True)]
        levels = [F.interpolate(x, size_hw, mode='bilinear') for x in levels]
        return self.classify(self.dropout(self.fuse(torch.cat(levels[::-1], 1))))


def _query(width: int) -> nn.Sequential:
    """What a sensor finds worth attention in itself: one map of logits."""
    return nn.Sequential(
        nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, 1, 1)
    )
