"""AD-SAM (arXiv 2510.27047): a frozen SAM and a ResNet, fused and decoded by deformable layers.

Shape suffixes: B batch, K classes, C channels, H height, W width.
"""

from functools import partial
from pathlib import Path

from mle_sam_ros.core.errors import InputError
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18, resnet50
from torchvision.models.feature_extraction import create_feature_extractor

from mle_sam.ad_sam_config import AdSamConfig, RESNET_CHANNELS
from mle_sam.config import MleSamConfig
from mle_sam.embedding_cache import EmbeddingCache, EmbeddingCacheConfig
from mle_sam.encoder import MultiModalEncoder
from mle_sam.models.averaging import AveragingNetwork
from mle_sam.models.deformable import DeformableConv
from mle_sam.models.sam_vit import build_vit, encode_image
from mle_sam.pretrained_names import Names, Sam1EncoderNames, Sam2EncoderNames
from mle_sam.vit_config import VIT_SIZES


class AdSam(AveragingNetwork):
    """Encode twice, fuse at 1/16 of the input, decode to 1/4 with what the ResNet saw on its way.

    Attributes:
        checkpoint_names: of the family of the encoder.
    """

    config: AdSamConfig

    def __init__(self, config: AdSamConfig):
        super().__init__(config)
        self._cache: EmbeddingCache | None = None
        self.image_encoder = _build_encoder(config)
        self.backbone = _build_backbone(config)
        *skips, last = RESNET_CHANNELS[config.backbone]
        groups, widths = config.num_groups, (config.d_model, *config.widths)
        self.fusion = Fusion(config.d_model, last, groups, config.attention_reduction)
        stages = zip(widths[:-1], widths[1:], reversed(skips), (True, True, False), strict=True)
        self.stages = nn.ModuleList(UpStage(*stage, groups) for stage in stages)
        width = widths[-1]
        self.head = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
            nn.GELU(),
            nn.Conv2d(width, config.num_classes, 1),
        )

    @property
    def checkpoint_names(self) -> Names:  # type: ignore[override]
        """See above."""
        return Sam2EncoderNames() if self.config.encoder == 'hiera' else Sam1EncoderNames()

    def encode(self, raster_BHW3: torch.Tensor, modality: str) -> list[torch.Tensor]:
        """The class maps, (B, K, H/4, W/4)."""
        embed = partial(self.embed, modality=modality)
        if self.training and self._cache:
            embed = partial(self._cache.embed, encode=embed)
        return [self.segment(raster_BHW3, modality, embed(raster_BHW3))]

    def embed(self, raster_BHW3: torch.Tensor, modality: str) -> torch.Tensor:
        """What the frozen encoder says, (B, C, H/16, W/16)."""
        if isinstance(self.image_encoder, MultiModalEncoder):
            return self.image_encoder(raster_BHW3, modality)[2]
        return encode_image(self.image_encoder, self.normalise(raster_BHW3, modality))

    def segment(
        self, raster_BHW3: torch.Tensor, modality: str, embedding: torch.Tensor
    ) -> torch.Tensor:
        """All that learns, from a raster and what the frozen encoder says of it."""
        *skips, last = self.backbone(self.normalise(raster_BHW3, modality)).values()
        x = self.fusion(embedding, last)
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
        return self.head(x)

    def load_backbone(self) -> None:
        """See `Network`: the ResNet, from a file of torchvision's."""
        if self.config.backbone_weights:
            _load_resnet(self.backbone, Path(self.config.backbone_weights))

    def keep_embeddings(
        self, cache: EmbeddingCacheConfig, precision: str, num_images: int
    ) -> None:
        """See `Network`."""
        height, width = self.config.input_hw
        cache.check_space(num_images, (self.config.d_model, height // 16, width // 16))
        parts = [*self.image_encoder.state_dict().items(), *self.normalise.named_buffers()]
        self._cache = EmbeddingCache(cache, parts, precision)

    def rate_of(self, name: str) -> float:
        """See `Network`: the ResNet learns more slowly."""
        return self.config.backbone_rate if name.startswith('backbone.') else 1.0

    def train(self, mode: bool = True) -> 'AdSam':
        """Switch, but for statistics that shall stay as they are."""
        super().train(mode)
        if self.config.freeze_statistics:
            for module in self.backbone.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


class Fusion(nn.Module):
    """SAM's map beside the ResNet's last one, through a deformable layer and channel attention."""

    def __init__(self, width: int, backbone_width: int, groups: int, reduction: int):
        super().__init__()
        self.narrow = nn.Conv2d(backbone_width, width, 1)
        self.join = DeformableConv(2 * width, width)
        self.norm = nn.GroupNorm(groups, width)
        self.attention = ChannelAttention(width, reduction)
        for layer in (self.narrow, self.join.convolution):
            nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')
            nn.init.zeros_(layer.bias)

    def forward(self, embedding: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
        """Fuse at the embedding's size."""
        last = F.interpolate(last, embedding.shape[2:], mode='bilinear')
        joint = self.join(torch.cat([embedding, self.narrow(last)], 1))
        return F.gelu(self.attention(self.norm(joint)))


class ChannelAttention(nn.Module):
    """Weighs channels by their mean and their maximum over the frame."""

    def __init__(self, width: int, reduction: int):
        super().__init__()
        self.perceptron = nn.Sequential(
            nn.Linear(width, width // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(width // reduction, width, bias=False),
        )

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Weigh."""
        mean_BC, top_BC = x_BCHW.mean((2, 3)), x_BCHW.amax((2, 3))
        share_BC = (self.perceptron(mean_BC) + self.perceptron(top_BC)).sigmoid()
        return x_BCHW * share_BC[:, :, None, None]


class UpStage(nn.Module):
    """One stage of the decoder: beside what the ResNet saw at that size, two deformable layers."""

    def __init__(self, inputs: int, outputs: int, skip: int, enlarges: bool, groups: int):
        super().__init__()
        self.enlarges = enlarges
        self.skip = nn.Sequential(
            nn.Conv2d(skip, skip // 4, 1), nn.GroupNorm(groups, skip // 4), nn.GELU()
        )
        self.join = nn.Sequential(
            DeformableConv(inputs + skip // 4, outputs),
            nn.GroupNorm(groups, outputs),
            nn.GELU(),
            DeformableConv(outputs, outputs),
            nn.GroupNorm(groups, outputs),
            nn.GELU(),
        )

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Twice as large, but for the last stage."""
        if self.enlarges:
            x = F.interpolate(x, scale_factor=2.0, mode='bilinear')
        if skip.shape[2:] != x.shape[2:]:
            skip = F.interpolate(skip, x.shape[2:], mode='bilinear')
        return self.join(torch.cat([x, self.skip(skip)], 1))


def _build_encoder(config: AdSamConfig) -> nn.Module:
    if config.encoder == 'vit':
        return build_vit(VIT_SIZES[config.size])
    return MultiModalEncoder(
        MleSamConfig(
            config.input_hw, config.modalities, config.classes, size=config.size, lora_rank=0
        )
    )


def _build_backbone(config: AdSamConfig) -> nn.Module:
    """The ResNet's four maps by name."""
    resnet = {'resnet18': resnet18, 'resnet50': resnet50}[config.backbone]()
    layers = ('layer1', 'layer2', 'layer3', 'layer4')
    return create_feature_extractor(resnet, list(layers))


def _load_resnet(backbone: nn.Module, path: Path) -> None:
    """Take all that a file has, but for the classifier, which the backbone has not."""
    try:
        weights = torch.load(path, map_location='cpu', weights_only=True)
        faults = backbone.load_state_dict(weights, strict=False)
    except Exception as error:  # an unpickler raises whatever the bytes make of it
        raise _complaint(path, ' '.join(str(error).split())[:200]) from error
    unknown = [name for name in faults.unexpected_keys if not name.startswith('fc.')]
    if faults.missing_keys or unknown:
        raise _complaint(path, f'missing {faults.missing_keys[:3]}, unknown {unknown[:3]}')


def _complaint(path: Path, got: str) -> InputError:
    return InputError(
        f'{path}: expected the state of the ResNet that network.backbone names, as torchvision '
        f'publishes it, got {got}; correct network.backbone_weights or network.backbone'
    )
