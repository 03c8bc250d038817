"""Events of iniVation's sensors, as libcaer_driver sends them: `libcaer` and `libcaer_cmp`."""

from collections.abc import Callable

from mle_sam_ros.core.event_bits import NUM_BITS, put_masked
from mle_sam_ros.core.event_tally import OUT_OF_RANGE, UNDECODABLE, UNKNOWN_WORDS
from mle_sam_ros.core.event_words import PacketWords
import numba
import numpy as np

# Types of words of libcaer_cmp, bits 15..12. The others are reserved.
_TIME_HIGH = 0x0
_TIME_LOW = 0x1
_ADDRESS_X = 0x2
_ADDRESS_Y = 0x3
_VECTOR_BASE = 0x4
_VECTOR_8 = 0x5


class LibcaerWords(PacketWords):
    """One 64-bit word per event: {valid, polarity, y (15), x (15)}, int32 microseconds.

    Times are after the packet's time base.
    """

    dtype = np.dtype('u8')

    def count(self, words: np.ndarray) -> int:
        """Each word may be an event."""
        return len(words)

    @property
    def _kernel(self) -> Callable[..., int]:
        return _decode_libcaer


class LibcaerCmpWords(PacketWords):
    """16-bit words: a time and a column hold until others come, masks for pixels below.

    Times are microseconds after the packet's time base.
    """

    dtype = np.dtype('u2')

    def count(self, words: np.ndarray) -> int:
        """Addresses of rows, and bits of vectors."""
        return _count_cmp(words)

    @property
    def _kernel(self) -> Callable[..., int]:
        return _decode_cmp


@numba.njit(nogil=True, cache=True)
def _decode_libcaer(words, height, width, time_base_ns, tally, x, y, t_ns, polarity):
    n = 0
    rollovers_us = np.int64(0)
    last_us = np.int64(0)
    for i in range(len(words)):
        address = np.int64(words[i] & 0xFFFFFFFF)
        time_us = np.int64(np.int32(words[i] >> 32))
        # The 31-bit microsecond counter rolls over every 35 minutes, perhaps inside a packet.
        if i > 0 and time_us - last_us < -(1 << 30):
            rollovers_us += 1 << 31
        last_us = time_us
        if not address & 1:
            continue
        column, row = address >> 17, address >> 2 & 0x7FFF
        if column >= width or row >= height:
            tally[OUT_OF_RANGE] += 1
            continue
        x[n], y[n], polarity[n] = column, row, address >> 1 & 1
        t_ns[n] = time_base_ns + (time_us + rollovers_us) * 1000
        n += 1
    return n


@numba.njit(nogil=True, cache=True)
def _count_cmp(words):
    count = 0
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == _ADDRESS_Y:
            count += 1
        elif kind == _VECTOR_8:
            count += NUM_BITS[word & 0xFF]
    return count


@numba.njit(nogil=True, cache=True)
def _decode_cmp(words, height, width, time_base_ns, tally, x, y, t_ns, polarity):
    n = np.uint64(0)  # without a sign, so that no index is tested for being negative
    high = np.int64(0)
    time = time_base_ns
    column = base = np.int64(-1)
    vector_polarity = np.int64(0)
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == _ADDRESS_Y:
            row = word & 0x7FF
            if column < 0:
                tally[UNDECODABLE] += 1
            elif column >= width or row >= height:
                tally[OUT_OF_RANGE] += 1
            else:
                x[n], y[n], t_ns[n], polarity[n] = column, row, time, word >> 11 & 1
                n += np.uint64(1)
        elif kind == _VECTOR_8:
            bits = word & 0xFF
            if column < 0 or base < 0:
                tally[UNDECODABLE] += NUM_BITS[bits]
            else:
                inside = bits
                if column >= width or base >= height:
                    inside = np.int64(0)
                elif base + 8 > height:
                    inside = bits & ((1 << (height - base)) - 1)
                tally[OUT_OF_RANGE] += NUM_BITS[bits] - NUM_BITS[inside]
                sign = vector_polarity
                put_masked(n, 8, inside, base, column, time, sign, y, x, t_ns, polarity)
                n += np.uint64(NUM_BITS[inside])
            if base >= 0:
                base += 8
        elif kind == _ADDRESS_X:
            column = word & 0x7FF
        elif kind == _VECTOR_BASE:
            base, vector_polarity = word & 0x7FF, word >> 11 & 1
        elif kind == _TIME_LOW:
            time = time_base_ns + (high << 12 | word & 0xFFF) * 1000
        elif kind == _TIME_HIGH:
            high = word & 0xFFF
        else:
            tally[UNKNOWN_WORDS] += 1
    return n
