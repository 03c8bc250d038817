"""A network as if trained: whatever learns is different in each of its parts."""

from mle_sam.config import MleSamConfig
from mle_sam.models.mle_sam import MleSam
import torch


@torch.no_grad()
def as_if_trained(network: MleSamConfig) -> MleSam:
    """A network whose experts, adapters and routers are all different."""
    torch.manual_seed(3)
    model = MleSam(network).eval()
    for name, parameter in model.named_parameters():
        if any(part in name for part in ('.experts.', '.input_adapters.', '.routers.')):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
