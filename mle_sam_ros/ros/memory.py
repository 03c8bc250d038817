"""Giving the memory of an engine back to the machine."""

import ctypes
import gc


def release_memory() -> None:
    """Free what only cycles hold, and hand what the allocator kept back to the system.

    glibc keeps small blocks for later: of ONNX Runtime's, 70 MiB after nano was let go.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)  # glibc only
    if trim is not None:
        trim(0)
