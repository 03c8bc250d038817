"""Networks that encode a sensor down to its masks: what decoding does is to average these.

Shape suffixes: B batch, M modalities, K classes, h and w in quarters of the input.
"""

import torch

from mle_sam.config import NetworkConfig, Stage
from mle_sam.models.network import Network, Segmentation
from mle_sam.normalisation import Normalisation

# What is left as SAM's authors, or the stage before, have trained it.
FROZEN = ('image_encoder.', 'prompt_encoder.')


class AveragingNetwork(Network):
    """One network per sensor; what is absent costs nothing.

    Attributes:
        normalise: rasters to images.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__(config, (config.num_classes,))
        self.normalise = Normalisation(config.modalities)

    def decode(self, levels: list[torch.Tensor], present_BM: torch.Tensor) -> Segmentation:
        """The mean mask of the sensors that are there; slots of others may hold anything."""
        (masks_MBKhw,) = levels
        is_there_MB111 = present_BM.t()[:, :, None, None, None]
        share_BM = present_BM.float() / present_BM.sum(1, keepdim=True)
        clean_MBKhw = torch.where(is_there_MB111, masks_MBKhw, 0.0)
        mean_BKhw = (share_BM.t()[:, :, None, None, None] * clean_MBKhw).sum(0)
        return Segmentation(([mean_BKhw],), share_BM[:, None])

    def trainable(self, stage: Stage) -> set[str]:
        """Everything but what is SAM's, in whatever stage: most have no trunk of their kind."""
        return {name for name, _ in self.named_parameters() if not name.startswith(FROZEN)}
