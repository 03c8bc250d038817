"""The choices of AD-SAM."""

from dataclasses import dataclass

from mle_sam.config import check_fields, MleSamConfig, NetworkConfig, SIZES
from mle_sam.vit_config import SamLoraConfig, VIT_SIZES

# Channels of the four stages, at 1/4, 1/8, 1/16 and 1/32 of the input.
RESNET_CHANNELS = {
    'resnet18': (64, 128, 256, 512),
    'resnet50': (256, 512, 1024, 2048),
}


@dataclass(frozen=True, kw_only=True)
class AdSamConfig(NetworkConfig):
    """AD-SAM (arXiv 2510.27047): a frozen SAM beside a ResNet that learns. For the camera alone.

    Attributes:
        encoder: `vit`, the first SAM's (the paper), or `hiera`, SAM 2's (ours: faster engines).
        size: of the encoder; the paper: huge.
        backbone: of torchvision; the paper: resnet50.
        backbone_weights: file of torchvision's state to start from; None starts from nothing.
        freeze_statistics: batch normalisation of the ResNet stays as it was loaded; the paper's
            public code does so. Without weights to load there is nothing to keep.
        backbone_rate: of the learning rate, for the ResNet; public code: 0.1.
        widths: channels of the three stages of the decoder; public code: 128, 64, 32.
        num_groups: of the group normalisation; public code: 8.
        attention_reduction: of the channel attention; public code: 16.
    """

    kind = 'ad_sam'
    has_frozen_embedding = True

    encoder: str = 'vit'
    size: str
    backbone: str = 'resnet50'
    backbone_weights: str | None = None
    freeze_statistics: bool = True
    backbone_rate: float = 0.1
    widths: tuple[int, int, int] = (128, 64, 32)
    num_groups: int = 8
    attention_reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = SIZES if self.encoder == 'hiera' else VIT_SIZES
        check_fields(
            self,
            ('modalities', len(self.modalities) == 1, 'one modality'),
            ('encoder', self.encoder in ('vit', 'hiera'), 'vit or hiera'),
            ('size', self.size in sizes, f'one of {", ".join(sizes)}'),
            ('backbone', self.backbone in RESNET_CHANNELS, f'one of {", ".join(RESNET_CHANNELS)}'),
            (
                'freeze_statistics',
                not self.freeze_statistics or self.backbone_weights is not None,
                'False without backbone_weights',
            ),
            ('backbone_rate', self.backbone_rate >= 0, '0 or more'),
            (
                'widths',
                all(width > 0 and width % self.num_groups == 0 for width in self.widths),
                f'multiples of num_groups {self.num_groups}',
            ),
        )

    @property
    def d_model(self) -> int:
        """Channels of what SAM's encoder says."""
        return (SIZES if self.encoder == 'hiera' else VIT_SIZES)[self.size].d_model

    def trunk(self) -> NetworkConfig:
        """SAM, or SAM 2, itself."""
        given = (self.input_hw, self.modalities, self.classes)
        if self.encoder == 'hiera':
            return MleSamConfig(*given, size=self.size, lora_rank=0)
        return SamLoraConfig(*given, size=self.size, lora_rank=0)
