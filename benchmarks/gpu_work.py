"""What a network must do at least, and what a machine can do at most: the roofline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@dataclass
class Work:
    """Every matrix product, convolution and attention of one run.

    What lies between them can be fused into them, and is free.

    Attributes:
        operations: (floating-point operations, bytes) of each. A multiplication and an addition
            are two operations; bytes are its operands and its result, each moved once.
    """

    operations: list[tuple[int, int]] = field(default_factory=list)

    @property
    def gflop(self) -> float:
        """All operations, in 10^9."""
        return sum(flop for flop, _ in self.operations) / 1e9

    @property
    def gigabytes(self) -> float:
        """All bytes, in 10^9."""
        return sum(num_bytes for _, num_bytes in self.operations) / 1e9

    def ideal_ms(self, rates: 'Rates') -> float:
        """The least time on a machine: each waits for its arithmetic or for its bytes."""
        seconds = (
            max(flop / rates.flop_per_s, num_bytes / rates.bytes_per_s)
            for flop, num_bytes in self.operations
        )
        return 1000 * sum(seconds)


@dataclass(frozen=True)
class Rates:
    """What a machine was measured to do in one precision."""

    flop_per_s: float
    bytes_per_s: float


@torch.no_grad()
def count_work(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Work:
    """Count what a module does, on the meta device: nothing is computed.

    Args:
        module: on the meta device.
        inputs: likewise.
    """
    work = Work()
    with _CountProducts(work), _CountAttention(work):
        module(*inputs)
    return work


def measure_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """Measure the rate of a large matrix product on random numbers, and of a large copy."""
    is_gpu = device.type == 'cuda'
    side = 8192 if is_gpu and dtype != torch.float32 else 4096 if is_gpu else 256
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product_s = _median_s(lambda: a @ b, device)
    source = torch.ones(2**31 if is_gpu else 2**24, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _median_s(lambda: target.copy_(source), device)
    return Rates(2 * side**3 / product_s, 2 * source.numel() / copy_s)


class _CountProducts(TorchDispatchMode):
    """Counts what torch itself knows the operations of."""

    def __init__(self, work: Work):
        super().__init__()
        self.work = work

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        formula = flop_registry.get(function.overloadpacket)
        if formula is not None:
            tensors = [value for value in (*args, result) if isinstance(value, torch.Tensor)]
            flop = formula(*args, **(kwargs or {}), out_val=result)
            self.work.operations.append((flop, sum(map(_num_bytes, tensors))))
        return result


class _CountAttention(TorchFunctionMode):
    """Counts attention as the one operation that it is on GPUs, whatever it is made of here."""

    def __init__(self, work: Work):
        super().__init__()
        self.work = work

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is not scaled_dot_product_attention:
            return function(*args, **(kwargs or {}))
        query, key, value = args
        batch, heads, length, channels = query.shape
        flop = 4 * batch * heads * length * key.shape[2] * channels
        result = query.new_empty(query.shape)
        num_bytes = sum(map(_num_bytes, (query, key, value, result)))
        self.work.operations.append((flop, num_bytes))
        return result


def _num_bytes(tensor: torch.Tensor) -> int:
    """Bytes of what is stored; an expanded axis is stored once."""
    num = tensor.element_size()
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        num *= length if stride else 1
    return num


def _median_s(run: Callable[[], object], device: torch.device, repeats: int = 20) -> float:
    for _ in range(3):
        run()
    seconds = []
    for _ in range(repeats):
        if device.type == 'cuda':
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            seconds.append(start.elapsed_time(end) / 1000)
        else:
            start_s = perf_counter()
            run()
            seconds.append(perf_counter() - start_s)
    return sorted(seconds)[repeats // 2]
