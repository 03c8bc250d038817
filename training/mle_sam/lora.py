"""Low-rank updates of q and v, one set per modality (LoRA, arXiv 2106.09685; MLE-SAM §III)."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class LoraLinear(nn.Linear):
    """A fused qkv projection whose q and v rows carry a low-rank update per modality.

    The update is added to the weight rather than to the output: the same sum is used in training
    and when it is merged for export, and with the factors' zero start it is exactly the original
    projection. There is no bias and no scale, as in public code.
    """

    def __init__(self, base: nn.Linear, modalities: tuple[str, ...], rank: int, width: str):
        """Take over a projection.

        Args:
            base: (3 * dim_out, dim_in) projection, rows in the order q, k, v.
            modalities: one set of factors each.
            rank: of the update.
            width: `input` updates the first dim_in channels of q and the last dim_in of v,
                `output` updates all dim_out channels of both.
        """
        super().__init__(base.in_features, base.out_features, device='meta')
        self.weight, self.bias = base.weight, base.bias
        rows = base.in_features if width == 'input' else base.out_features // 3
        self.experts = nn.ModuleDict(
            {name: _Factors(base.in_features, rows, rank) for name in modalities}
        )
        self.active: str | None = None

    def merged_weight(self, modality: str) -> torch.Tensor:
        """The (3 * dim_out, dim_in) weight with one modality's update added."""
        query, value = self.experts[modality]()
        untouched = self.weight.new_zeros(
            self.out_features - len(query) - len(value), self.in_features
        )
        return self.weight + torch.cat([query, untouched, value])

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Project with the active modality's weight; with none active, with the original one."""
        weight = self.weight if self.active is None else self.merged_weight(self.active)
        return F.linear(input, weight, self.bias)


class _Factors(nn.Module):
    """The factors of one modality's updates of q and v at one block."""

    def __init__(self, columns: int, rows: int, rank: int):
        super().__init__()
        self.query_down = nn.Parameter(torch.empty(rank, columns))
        self.query_up = nn.Parameter(torch.zeros(rows, rank))
        self.value_down = nn.Parameter(torch.empty(rank, columns))
        self.value_up = nn.Parameter(torch.zeros(rows, rank))
        for down in (self.query_down, self.value_down):
            nn.init.kaiming_uniform_(down, a=math.sqrt(5))

    def forward(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.query_up @ self.query_down, self.value_up @ self.value_down


def merge_experts(module: nn.Module, modality: str) -> None:
    """Replace every `LoraLinear` within a module by a projection with one modality's updates."""
    layers = [(name, m) for name, m in module.named_modules() if isinstance(m, LoraLinear)]
    for name, layer in layers:
        linear = nn.Linear(layer.in_features, layer.out_features, device='meta')
        linear.weight = nn.Parameter(layer.merged_weight(modality).detach())
        linear.bias = layer.bias
        module.set_submodule(name, linear)
