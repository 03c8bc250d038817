"""Processes that learn together: each takes a share of every batch, and they average gradients.

Started by `torchrun --nproc-per-node N -m mle_sam.cli train ...`; without it there is one worker.
On shared cores, processes of one thread beat one process of many threads: they wait for each other
once per step, not in every operation.
"""

from collections.abc import Sequence
import os

import torch
from torch import distributed, nn


class Workers:
    """This process among those that learn together."""

    def __init__(self) -> None:
        self.count = int(os.environ.get('WORLD_SIZE', '1'))
        self.rank = int(os.environ.get('RANK', '0'))
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group('gloo')

    @property
    def is_first(self) -> bool:
        """Whether this one writes checkpoints and shows progress."""
        return self.rank == 0

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give every worker the mean of all workers' gradients; no gradient counts as zero."""
        if self.count == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        joint = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(joint)
        joint /= self.count
        parts = joint.split([parameter.numel() for parameter in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)

    def agree(self, is_wished: bool) -> bool:
        """Whether any worker wishes it: all get the same answer."""
        if self.count == 1:
            return is_wished
        wishes = torch.tensor(int(is_wished))
        distributed.all_reduce(wishes)
        return bool(wishes)
