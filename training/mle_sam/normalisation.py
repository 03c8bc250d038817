"""From rasters in the units of their encodings to images that networks take.

Shape suffixes: B batch, H height, W width.
"""

from collections.abc import Sequence

from mle_sam_ros.core.manifest import ModalitySpec
import torch
from torch import nn


class Normalisation(nn.Module):
    """Subtracts each modality's mean and divides by its deviation, always in float32.

    Event counts and metres reach far. Both numbers come from the recipe: no checkpoint holds them.
    """

    def __init__(self, modalities: Sequence[ModalitySpec]):
        super().__init__()
        for spec in modalities:
            self.register_buffer(f'mean_{spec.name}', torch.tensor(spec.mean), persistent=False)
            self.register_buffer(f'std_{spec.name}', torch.tensor(spec.std), persistent=False)

    def mean(self, modality: str) -> torch.Tensor:
        """(3,) float32, in the units of its encoding."""
        return getattr(self, f'mean_{modality}')

    def std(self, modality: str) -> torch.Tensor:
        """(3,) float32, in the units of its encoding."""
        return getattr(self, f'std_{modality}')

    def forward(self, raster_BHW3: torch.Tensor, modality: str) -> torch.Tensor:
        """Normalise rasters of any dtype: (B, 3, H, W) float32."""
        image_BHW3 = (raster_BHW3.float() - self.mean(modality)) / self.std(modality)
        return image_BHW3.permute(0, 3, 1, 2)
