"""Where torch packages run: the processor, or a CUDA GPU with its stream and CUDA graphs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
import ctypes
from time import perf_counter_ns
from typing import Protocol

import torch


class Clock(Protocol):
    """Times the parts of one call."""

    def mark(self, part: str) -> None:
        """End of a part, which began at the mark before it."""
        ...

    def timings_ms(self) -> dict[str, float]:
        """Milliseconds by part; only after `Device.finish`."""
        ...


class Device(Protocol):
    """What an engine asks of a device. One thread at a time uses it."""

    name: str
    torch_device: torch.device

    def context(self) -> AbstractContextManager[object]:
        """What to be in while tensors of the device are worked on."""
        ...

    def staging(self, tensor: torch.Tensor) -> torch.Tensor:
        """Host memory of the same shape from which and to which a tensor is copied."""
        ...

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        """What does the same as `run`, which always uses the same tensors, but sooner."""
        ...

    def clock(self) -> Clock:
        """A clock that starts now."""
        ...

    def finish(self) -> None:
        """Wait until everything asked for is done."""
        ...


class HostDevice:
    """The processor: nothing is staged, captured or waited for."""

    name = 'CPU'
    torch_device = torch.device('cpu')

    def context(self) -> AbstractContextManager[object]:
        """None is needed."""
        return nullcontext()

    def staging(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor itself."""
        return tensor

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        """The function itself."""
        return run

    def clock(self) -> Clock:
        """A clock of the host."""
        return _HostClock()

    def finish(self) -> None:
        """Nothing is left to do."""


class CudaDevice:
    """The current CUDA GPU, worked through a stream of its own."""

    torch_device = torch.device('cuda')

    def __init__(self) -> None:
        self.name = torch.cuda.get_device_name()
        self._stream = torch.cuda.Stream()

    def context(self) -> AbstractContextManager[object]:
        """Work goes to the own stream: the default one synchronises and cannot be captured."""
        return torch.cuda.stream(self._stream)

    def staging(self, tensor: torch.Tensor) -> torch.Tensor:
        """Pinned memory, which the GPU reads and writes by itself."""
        return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)

    def capture(self, run: Callable[[], None]) -> Callable[[], None]:
        """One CUDA graph, captured after calls in which libraries set themselves up."""
        with self.context():
            for _ in range(3):
                run()
            self.finish()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._stream):
                run()
        return graph.replay

    def clock(self) -> Clock:
        """A clock of the GPU."""
        return _CudaClock(self._stream)

    def finish(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()


def best_device() -> Device:
    """The GPU where torch finds one, else the processor."""
    return CudaDevice() if torch.cuda.is_available() else HostDevice()


def cuda_driver() -> int:
    """Version of CUDA that the driver is for, 13020 for 13.2; torch has no public name for it."""
    version = ctypes.c_int()
    ctypes.CDLL('libcuda.so.1').cuDriverGetVersion(ctypes.byref(version))
    return version.value


class _HostClock:
    def __init__(self) -> None:
        self._last_ns = perf_counter_ns()
        self._timings_ms: dict[str, float] = {}

    def mark(self, part: str) -> None:
        now_ns = perf_counter_ns()
        self._timings_ms[part] = (now_ns - self._last_ns) / 1e6
        self._last_ns = now_ns

    def timings_ms(self) -> dict[str, float]:
        return self._timings_ms


class _CudaClock:
    def __init__(self, stream: torch.cuda.Stream) -> None:
        self._stream = stream
        self._marks = [('', self._event())]

    def mark(self, part: str) -> None:
        self._marks.append((part, self._event()))

    def timings_ms(self) -> dict[str, float]:
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return {part: start.elapsed_time(end) for (_, start), (part, end) in pairs}

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(self._stream)
        return event
