"""Device memory, streams, events and graphs of the CUDA runtime, on the first GPU.

Each object frees what it owns when it goes. Work is asynchronous: it is done once its stream was
synchronised, and until then nothing that it reads or writes may be touched.
"""

from collections.abc import Callable
import ctypes
from math import prod
from pathlib import Path
from typing import Any
from weakref import finalize

from mle_sam_ros.core.errors import InputError
import numpy as np

try:
    from cuda.bindings import runtime
except ModuleNotFoundError:
    try:
        from cuda import cudart as runtime  # its name up to CUDA 12.6
    except ModuleNotFoundError:
        raise InputError(
            'CUDA: expected the package cuda-bindings, got none; pip install cuda-python in the '
            "version of this machine's CUDA"
        ) from None

# Every function of the CUDA runtime that is called, for the test of its public bindings.
RELIED_ON = (
    'cudaDriverGetVersion',
    'cudaEventCreate',
    'cudaEventDestroy',
    'cudaEventElapsedTime',
    'cudaEventRecord',
    'cudaFree',
    'cudaFreeHost',
    'cudaGetDeviceCount',
    'cudaGetDeviceProperties',
    'cudaGetErrorString',
    'cudaGetLastError',
    'cudaGraphDestroy',
    'cudaGraphExecDestroy',
    'cudaGraphInstantiate',
    'cudaGraphLaunch',
    'cudaMalloc',
    'cudaMallocHost',
    'cudaMemcpyAsync',
    'cudaStreamBeginCapture',
    'cudaStreamCreateWithFlags',
    'cudaStreamDestroy',
    'cudaStreamEndCapture',
    'cudaStreamSynchronize',
    'cudaStreamWaitEvent',
)


def call(function: str, *arguments: Any) -> Any:
    """Call the CUDA runtime by name; gives its result, or None where it has none.

    Raises:
        RuntimeError: with CUDA's own text.
    """
    error, *results = getattr(runtime, function)(*arguments)
    if error != runtime.cudaError_t.cudaSuccess:
        _, text = runtime.cudaGetErrorString(error)
        runtime.cudaGetLastError()  # else the next call would report this error again
        raise RuntimeError(f'CUDA: {function}: {text.decode()}')
    return results[0] if results else None


def describe_gpu() -> dict[str, str]:
    """What compiled code depends on: GPU, its architecture, driver, and on a Jetson the board.

    Raises:
        InputError: without a GPU that CUDA can use.
    """
    try:
        num_gpus = call('cudaGetDeviceCount')
    except RuntimeError as error:
        raise InputError(f'{error}: expected a GPU; check its driver with nvidia-smi') from None
    if num_gpus < 1:
        raise InputError('CUDA: expected a GPU, got none; check the driver with nvidia-smi')
    properties, version = call('cudaGetDeviceProperties', 0), call('cudaDriverGetVersion')
    facts = {
        'gpu': properties.name.decode().rstrip('\0'),
        'compute_capability': f'{properties.major}.{properties.minor}',
        'cuda_driver': f'{version // 1000}.{version % 1000 // 10}',
    }
    board, release = Path('/proc/device-tree/model'), Path('/etc/nv_tegra_release')
    if board.is_file() and release.is_file():
        facts['board'] = board.read_text().rstrip('\0')
        facts['jetson_linux'] = release.read_text().partition('\n')[0]
    return facts


class DeviceArray:
    """Memory of the GPU for an array, not initialised.

    Attributes:
        shape: of the array.
        dtype: of the array.
        address: where it begins, a multiple of 256.
        nbytes: its size.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.nbytes = prod(shape) * self.dtype.itemsize
        self.address = int(call('cudaMalloc', self.nbytes))
        finalize(self, call, 'cudaFree', self.address)


class PinnedArray:
    """Memory of the host that the GPU can copy from and to by itself.

    Attributes:
        array: zeros at first; must not outlive this object.
        address: where it begins.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str) -> None:
        nbytes = prod(shape) * np.dtype(dtype).itemsize
        self.address = int(call('cudaMallocHost', nbytes))
        finalize(self, call, 'cudaFreeHost', self.address)
        memory = (ctypes.c_uint8 * nbytes).from_address(self.address)
        self.array = np.ndarray(shape, dtype, memoryview(memory))
        self.array[...] = 0


class Event:
    """A moment in a stream."""

    def __init__(self) -> None:
        self._handle = call('cudaEventCreate')
        finalize(self, call, 'cudaEventDestroy', self._handle)

    def record(self, stream: 'Stream') -> None:
        """Set the moment behind all work that the stream has by now."""
        call('cudaEventRecord', self._handle, stream.handle)

    def hold_back(self, stream: 'Stream') -> None:
        """Let further work of a stream begin only after this moment."""
        call('cudaStreamWaitEvent', stream.handle, self._handle, 0)

    def since_ms(self, earlier: 'Event') -> float:
        """Milliseconds from an earlier moment to this one; both must be over."""
        return float(call('cudaEventElapsedTime', earlier._handle, self._handle))


class Graph:
    """Recorded work that is launched as one."""

    def __init__(self, recording: Any) -> None:
        self._handle = call('cudaGraphInstantiate', recording, 0)
        finalize(self, call, 'cudaGraphExecDestroy', self._handle)
        call('cudaGraphDestroy', recording)

    def launch(self, stream: 'Stream') -> None:
        """Do the work in a stream."""
        call('cudaGraphLaunch', self._handle, stream.handle)


class Stream:
    """Work that the GPU does in order, beside that of other streams.

    Attributes:
        handle: of the CUDA runtime.
    """

    def __init__(self) -> None:
        # Not blocking: it never waits for the default stream.
        self.handle = call('cudaStreamCreateWithFlags', runtime.cudaStreamNonBlocking)
        finalize(self, call, 'cudaStreamDestroy', self.handle)

    def upload(self, source: PinnedArray, target: DeviceArray) -> None:
        """Copy to the GPU."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        nbytes = source.array.nbytes
        call('cudaMemcpyAsync', target.address, source.address, nbytes, kind, self.handle)

    def download(self, source: DeviceArray, target: PinnedArray) -> None:
        """Copy from the GPU."""
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        call('cudaMemcpyAsync', target.address, source.address, source.nbytes, kind, self.handle)

    def synchronize(self) -> None:
        """Wait until all work is done."""
        call('cudaStreamSynchronize', self.handle)

    def capture(self, enqueue: Callable[[], None]) -> Graph:
        """Record what a function enqueues here, without doing it.

        Raises:
            RuntimeError: for work that cannot be recorded.
        """
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        call('cudaStreamBeginCapture', self.handle, mode)
        try:
            enqueue()
        except RuntimeError:
            runtime.cudaStreamEndCapture(self.handle)
            runtime.cudaGetLastError()
            raise
        return Graph(call('cudaStreamEndCapture', self.handle))
