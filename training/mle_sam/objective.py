"""What training minimises: the loss of both paths (MLE-SAM §III)."""

import torch
from torch import nn

from mle_sam.datasets.batches import Batch
from mle_sam.losses.terms import weighted_loss
from mle_sam.models.network import Network
from mle_sam.recipe import StageConfig

DTYPES = {'bf16': torch.bfloat16, 'fp16': torch.float16}


class Objective(nn.Module):
    """From a batch to its loss; a module, so that workers can share its gradients."""

    def __init__(self, model: Network, config: StageConfig):
        super().__init__()
        self.model, self.config = model, config

    def forward(self, batch: Batch, step: int) -> torch.Tensor:
        """The loss of a batch, a float32 scalar.

        Args:
            batch: on the model's device.
            step: decides which rows and columns the loss sees, where `loss_stride` is above 1.
        """
        with autocast(self.config.precision, batch.labels.device):
            segmentation = self.model(batch.rasters, batch.present)
        stride = self.config.loss_stride
        phase = (step % stride, step // stride % stride)
        labels = batch.labels[:, phase[0] :: stride, phase[1] :: stride].long()

        def loss_of(levels: list[torch.Tensor]) -> torch.Tensor:
            logits = self.model.enlarge([level.float() for level in levels], stride, phase)
            return weighted_loss(self.config.loss, logits, labels)

        first, *others = (loss_of(path) for path in segmentation.paths)
        return first + self.config.auxiliary_weight * sum(others)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The context that computes in a precision of `PRECISIONS`."""
    return torch.autocast(device.type, DTYPES.get(precision), enabled=precision in DTYPES)
