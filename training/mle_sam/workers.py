"""Processes that learn together: each takes a share of every batch, and they average gradients.

Started by `torchrun --nproc-per-node N -m mle_sam.cli train ...`, on one machine or on several;
without it there is one worker. On shared cores, processes of one thread beat one process of many
threads: they wait for each other once per step, not in every operation.
"""

from contextlib import AbstractContextManager, nullcontext
import os
import warnings

from mle_sam_ros.core.errors import InputError
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel


class Workers:
    """This process among those that learn together.

    Attributes:
        rank: its number, from 0.
        count: how many there are.
        device: where it computes.
    """

    def __init__(self, device: str | None = None) -> None:
        """Join the others that torchrun started.

        Args:
            device: as `choose_device` takes it.

        Raises:
            InputError: as `choose_device`.
        """
        self.count = int(os.environ.get('WORLD_SIZE', '1'))
        self.rank = int(os.environ.get('RANK', '0'))
        self.device = choose_device(device)
        if self.device.type == 'cuda':
            self.device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', '0')))
            torch.cuda.set_device(self.device)
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group('nccl' if self.device.type == 'cuda' else 'gloo')

    @property
    def is_first(self) -> bool:
        """Whether this one writes checkpoints and shows progress."""
        return self.rank == 0

    def joined(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all workers by every backward pass.

        What no worker used gets no gradient, so an optimiser leaves it as it is.
        """
        if self.count == 1:
            return module
        with warnings.catch_warnings():
            # The option's successor is missing from the older versions that are supported.
            warnings.simplefilter('ignore', FutureWarning)
            return DistributedDataParallel(
                module, find_unused_parameters=True, broadcast_buffers=False
            )

    def apart(self, joined: nn.Module) -> AbstractContextManager[None]:
        """Within it, gradients add up in each worker and are not averaged yet."""
        return joined.no_sync() if isinstance(joined, DistributedDataParallel) else nullcontext()

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """The sum of all workers' values: all get the same answer."""
        if self.count == 1:
            return value
        total = value.to(self.device)
        distributed.all_reduce(total)
        return total.cpu()

    def agree(self, is_wished: bool) -> bool:
        """Whether any worker wishes it: all get the same answer."""
        return bool(self.sum(torch.tensor(int(is_wished))))


def choose_device(name: str | None) -> torch.device:
    """Where to compute.

    Args:
        name: cpu or cuda; None takes cuda where there is one.

    Raises:
        InputError: for cuda on a machine without.
    """
    has_cuda = torch.cuda.is_available()
    if name == 'cuda' and not has_cuda:
        raise InputError('--device: expected cpu on this machine, got cuda; leave it out')
    return torch.device(name or ('cuda' if has_cuda else 'cpu'))
