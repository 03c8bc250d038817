"""The CUDA runtime's Python bindings over numpy memory, for machines without a GPU.

Work runs only when somebody waits for it, and no more of it than he waits for: whoever forgets to
order two streams, or to synchronise, sees old memory. Misuse that a GPU may let pass (use after
free, copies out of bounds, addresses of the wrong side) fails at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
import sys
from time import perf_counter
from types import ModuleType, SimpleNamespace

import numpy as np

POISON = 0xFF  # as float16 and as float32 it is no number


class Error(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100
    cudaErrorNotReady = 600
    cudaErrorStreamCaptureInvalidated = 901


class CopyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class CaptureMode(IntEnum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1


@dataclass
class Block:
    memory: np.ndarray
    is_device: bool
    is_live: bool = True


@dataclass
class Moment:
    """A record in a stream; `time` is set when the stream gets there."""

    stream: int
    time: float | None = None


@dataclass
class Work:
    """What a stream has to do: run something, reach a moment, or wait for one of another."""

    run: Callable[[], None] | None = None
    reach: Moment | None = None
    wait: Moment | None = None


@dataclass
class Recording:
    work: list[Work] = field(default_factory=list)
    is_valid: bool = True


class FakeCuda:
    """Stands for the module `cuda.bindings.runtime`.

    Attributes:
        live: addresses and handles that were not freed.
        log: what ran, in order.
        gpus: properties of those there are.
        free_bytes: of device memory.
    """

    cudaError_t = Error
    cudaMemcpyKind = CopyKind
    cudaStreamCaptureMode = CaptureMode
    cudaStreamNonBlocking = 1

    def __init__(self, gpu: str = 'Fake GPU', driver: int = 13000) -> None:
        self.live: set[int] = set()
        self.log: list[str] = []
        self.gpus = [SimpleNamespace(name=gpu.encode() + b'\0', major=9, minor=0)]
        self.free_bytes = 1 << 30
        self._driver = driver
        self._blocks: dict[int, Block] = {}
        self._streams: dict[int, list[Work]] = {}
        self._events: dict[int, Moment | None] = {}
        self._recordings: dict[int, Recording] = {}  # by stream
        self._graphs: dict[int, list[Work]] = {}
        self._next = 0x7F00_0000_0000

    # For tests and the fake TensorRT

    @property
    def pending(self) -> int:
        return sum(map(len, self._streams.values()))

    def memory(self, address: int, nbytes: int, is_device: bool) -> np.ndarray:
        """The bytes at an address, which must all lie in one live block of that side."""
        for base, block in self._blocks.items():
            if base <= address < base + max(1, len(block.memory)):
                assert block.is_live, f'use after free at {address:#x}'
                assert block.is_device == is_device, f'{address:#x} is on the other side'
                offset = address - base
                assert offset + nbytes <= len(block.memory), f'out of bounds at {address:#x}'
                return block.memory[offset : offset + nbytes]
        raise AssertionError(f'no memory at {address:#x}')

    def enqueue(self, stream: int, run: Callable[[], None]) -> None:
        self._add(stream, Work(run=run))

    def is_recording(self, stream: int) -> bool:
        return stream in self._recordings

    def invalidate(self, stream: int) -> None:
        """What the GPU does to a recording that meets work it cannot record."""
        self._recordings[stream].is_valid = False

    # Device

    def cudaGetDeviceCount(self):
        if not self.gpus:
            return Error.cudaErrorNoDevice, None
        return Error.cudaSuccess, len(self.gpus)

    def cudaGetDeviceProperties(self, device):
        return Error.cudaSuccess, self.gpus[device]

    def cudaDriverGetVersion(self):
        return Error.cudaSuccess, self._driver

    def cudaGetErrorString(self, error):
        return Error.cudaSuccess, f'fake {Error(error).name}'.encode()

    def cudaGetLastError(self):
        return (Error.cudaSuccess,)

    # Memory

    def cudaMalloc(self, nbytes):
        if nbytes > self.free_bytes:
            return Error.cudaErrorMemoryAllocation, None
        self.free_bytes -= nbytes
        address = self._new_handle(-(-nbytes // 256) * 256 + 4096)
        self._blocks[address] = Block(np.full(nbytes, POISON, np.uint8), is_device=True)
        return Error.cudaSuccess, address

    def cudaMallocHost(self, nbytes):
        memory = np.full(nbytes, POISON, np.uint8)
        address = memory.ctypes.data
        self._blocks[address] = Block(memory, is_device=False)
        self.live.add(address)
        return Error.cudaSuccess, address

    def cudaFree(self, address):
        return self._free(address, is_device=True)

    def cudaFreeHost(self, address):
        return self._free(address, is_device=False)

    def _free(self, address, is_device):
        block = self._blocks[address]
        assert block.is_device == is_device
        assert block.is_live, f'freed twice: {address:#x}'
        assert not self.pending, 'freed under work that was not waited for'
        block.is_live = False
        self.free_bytes += len(block.memory) if is_device else 0
        self.live.remove(address)
        return (Error.cudaSuccess,)

    def cudaMemcpyAsync(self, target, source, nbytes, kind, stream):
        to_device = kind == CopyKind.cudaMemcpyHostToDevice
        self.memory(target, nbytes, to_device)
        self.memory(source, nbytes, not to_device)

        def copy():
            self.log.append(f'{kind.name} {nbytes}')
            self.memory(target, nbytes, to_device)[:] = self.memory(source, nbytes, not to_device)

        self.enqueue(stream, copy)
        return (Error.cudaSuccess,)

    # Streams and events

    def cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        stream = self._new_handle()
        self._streams[stream] = []
        return Error.cudaSuccess, stream

    def cudaStreamDestroy(self, stream):
        assert not self._streams.pop(stream), 'destroyed with work to do'
        self.live.remove(stream)
        return (Error.cudaSuccess,)

    def cudaStreamSynchronize(self, stream):
        assert not self.is_recording(stream)
        self._run(stream)
        return (Error.cudaSuccess,)

    def cudaEventCreate(self):
        event = self._new_handle()
        self._events[event] = None
        return Error.cudaSuccess, event

    def cudaEventDestroy(self, event):
        del self._events[event]
        self.live.remove(event)
        return (Error.cudaSuccess,)

    def cudaEventRecord(self, event, stream):
        self._events[event] = Moment(stream)
        self._add(stream, Work(reach=self._events[event]))
        return (Error.cudaSuccess,)

    def cudaStreamWaitEvent(self, stream, event, flags):
        assert flags == 0
        if self._events[event] is not None:
            self._add(stream, Work(wait=self._events[event]))
        return (Error.cudaSuccess,)

    def cudaEventElapsedTime(self, start, end):
        moments = [self._events[start], self._events[end]]
        if None in moments:
            return Error.cudaErrorInvalidValue, None
        if None in (moments[0].time, moments[1].time):
            return Error.cudaErrorNotReady, None
        return Error.cudaSuccess, 1000 * (moments[1].time - moments[0].time)

    # Graphs

    def cudaStreamBeginCapture(self, stream, mode):
        assert mode == CaptureMode.cudaStreamCaptureModeThreadLocal
        assert not self._streams[stream]
        self._recordings[stream] = Recording()
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream):
        recording = self._recordings.pop(stream)
        if not recording.is_valid:
            return Error.cudaErrorStreamCaptureInvalidated, None
        graph = self._new_handle()
        self._graphs[graph] = recording.work
        return Error.cudaSuccess, graph

    def cudaGraphInstantiate(self, graph, flags):
        assert flags == 0
        executable = self._new_handle()
        self._graphs[executable] = list(self._graphs[graph])
        return Error.cudaSuccess, executable

    def cudaGraphDestroy(self, graph):
        del self._graphs[graph]
        self.live.remove(graph)
        return (Error.cudaSuccess,)

    cudaGraphExecDestroy = cudaGraphDestroy

    def cudaGraphLaunch(self, graph, stream):
        assert not self.is_recording(stream)
        self.enqueue(stream, lambda: self.log.append('graph'))
        self._streams[stream] += self._graphs[graph]
        return (Error.cudaSuccess,)

    def _new_handle(self, size: int = 256) -> int:
        handle, self._next = self._next, self._next + size
        self.live.add(handle)
        return handle

    def _add(self, stream: int, work: Work) -> None:
        assert stream, 'the default stream'
        recording = self._recordings.get(stream)
        (recording.work if recording else self._streams[stream]).append(work)

    def _run(self, stream: int, until: Moment | None = None) -> None:
        queue = self._streams[stream]
        while queue and not (until and until.time):
            work = queue.pop(0)
            if work.wait and work.wait.time is None:
                self._run(work.wait.stream, work.wait)
            if work.reach:
                work.reach.time = perf_counter()
            if work.run:
                work.run()


def install(cuda: FakeCuda) -> None:
    """Make `from cuda.bindings import runtime` give the fake."""
    package, bindings = ModuleType('cuda'), ModuleType('cuda.bindings')
    package.bindings, bindings.runtime = bindings, cuda
    sys.modules |= {'cuda': package, 'cuda.bindings': bindings, 'cuda.bindings.runtime': cuda}
