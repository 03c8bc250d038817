"""The encoding `mono`: 64-bit words that hold a whole event each."""

from collections.abc import Callable

from mle_sam_ros.core.event_tally import OUT_OF_RANGE
from mle_sam_ros.core.event_words import PacketWords
import numba
import numpy as np


class MonoWords(PacketWords):
    """Bits 0..31 nanoseconds after the time base, 32..47 x, 48..62 y, 63 polarity."""

    dtype = np.dtype('u8')

    def count(self, words: np.ndarray) -> int:
        """Each word is an event."""
        return len(words)

    @property
    def _kernel(self) -> Callable[..., int]:
        return _decode


@numba.njit(nogil=True, cache=True)
def _decode(words, height, width, time_base_ns, tally, x, y, t_ns, polarity):
    n = 0
    for i in range(len(words)):
        column = np.int64(words[i] >> 32 & 0xFFFF)
        row = np.int64(words[i] >> 48 & 0x7FFF)
        if column >= width or row >= height:
            tally[OUT_OF_RANGE] += 1
            continue
        x[n], y[n], polarity[n] = column, row, words[i] >> 63
        t_ns[n] = time_base_ns + np.int64(words[i] & 0xFFFFFFFF)
        n += 1
    return n
