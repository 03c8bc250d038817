"""Prophesee's EVT3: 16-bit words, a time and a row hold until others come, masks for neighbours.

Time is a counter of microseconds in 24 bits: it wraps every 16.8 s. Sensors repeat its upper half
(TIME_HIGH) every 16 us, so a single wrong one among them is easy to tell.
"""

from collections.abc import Callable

from mle_sam_ros.core.event_bits import NUM_BITS, put_masked
from mle_sam_ros.core.event_tally import (
    LATE,
    OUT_OF_RANGE,
    TIME_JUMPS,
    TIME_STEPS_BACK,
    TRIGGERS,
    UNDECODABLE,
    UNKNOWN_WORDS,
)
from mle_sam_ros.core.event_words import EventWords
import numba
import numpy as np

# Types of words, bits 15..12. The others are reserved.
_ADDRESS_Y = 0x0
_ADDRESS_X = 0x2
_VECTOR_BASE = 0x3
_VECTOR_12 = 0x4
_VECTOR_8 = 0x5
_TIME_LOW = 0x6
_CONTINUED_4 = 0x7
_TIME_HIGH = 0x8
_TRIGGER = 0xA
_OTHERS = 0xE
_CONTINUED_12 = 0xF

_WRAP_US = 1 << 24
_NEVER_US = -(1 << 50)
# A TIME_HIGH this near to the last one (41 ms) is no error: a smaller one is a glitch of the
# sensor, not a wrap. One further ahead is taken back where the next one does not agree; one
# further behind counts only when it is repeated.
_NEAR = 10

# Positions in the state of the kernel.
(
    _HIGH,  # the last TIME_HIGH
    _EPOCH_US,  # where it counts from: all wraps
    _TIME_US,  # the newest time
    _IS_LATE,  # whether the last time was older than that
    _SYNC,
    _LEAP_HIGH,  # the TIME_HIGH before the last one, where that was far ahead of it, or -1
    _LEAP_EPOCH_US,
    _LEAP_TIME_US,
    _PENDING_HIGH,  # a TIME_HIGH too far behind to be believed at once, or -1
    _ROW,  # or -1
    _BASE,  # column of the next vector, or -1
    _POLARITY,  # of vectors
    _STATE_SIZE,
) = range(13)
# Values of _SYNC: what of the time is known.
_NOTHING, _LOST, _HIGH_KNOWN, _SYNCHRONOUS = range(4)


def _num_events() -> np.ndarray:
    """(65536,) uint8: by word, how many events it can hold."""
    counts = np.zeros((16, 16, 256), np.uint8)  # by type, bits 11..8, and the other eight
    counts[_ADDRESS_X] = 1
    counts[_VECTOR_8] = NUM_BITS
    counts[_VECTOR_12] = NUM_BITS[:16, np.newaxis] + NUM_BITS
    return counts.reshape(-1)


_NUM_EVENTS = _num_events()


class Evt3Words(EventWords):
    """Packets continue one another: time, row and the place of vectors hold until others come."""

    dtype = np.dtype('u2')
    has_host_time = False

    def __init__(self) -> None:
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state[_TIME_US] = _NEVER_US
        self._forget_place()

    @property
    def end_ns(self) -> int | None:
        """The sensor's time; None before the first, and after a loss."""
        if self._state[_SYNC] != _SYNCHRONOUS:
            return None
        return int(self._state[_TIME_US]) * 1000

    def skip(self) -> None:
        """Forget all but the time, whose wraps go on to be counted from here."""
        self._state[_SYNC] = min(self._state[_SYNC], _LOST)
        self._forget_place()

    def count(self, words: np.ndarray) -> int:
        """Addresses of columns, and bits of vectors."""
        return _count(words)

    @property
    def _kernel(self) -> Callable[..., int]:
        return _decode

    def _memory(self, time_base_ns: int) -> np.ndarray:
        return self._state  # drivers leave the time base undefined

    def _forget_place(self) -> None:
        self._state[[_LEAP_HIGH, _PENDING_HIGH, _ROW, _BASE]] = -1


@numba.njit(nogil=True, cache=True)
def _count(words):
    count = 0
    for word in words:
        count += _NUM_EVENTS[word]
    return count


@numba.njit(nogil=True, cache=True)
def _decode(words, height, width, state, tally, x, y, t_ns, polarity):
    high, epoch_us, time_us = state[_HIGH], state[_EPOCH_US], state[_TIME_US]
    sync, pending_high = state[_SYNC], state[_PENDING_HIGH]
    leap_high, leap_epoch_us = state[_LEAP_HIGH], state[_LEAP_EPOCH_US]
    leap_time_us, leap_n = state[_LEAP_TIME_US], np.uint64(0)
    row, base, vector_polarity = state[_ROW], state[_BASE], state[_POLARITY]
    time = time_us * 1000
    is_late = state[_IS_LATE] != 0
    # Columns below it can be given out: none while the row or the time is bad. So one comparison
    # serves for each event.
    limit = width if sync == _SYNCHRONOUS and not is_late and 0 <= row < height else 0
    # Without a sign, so that no index is tested for being negative: as fast again.
    n = np.uint64(0)
    out = x, y, t_ns, polarity
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 12
        if kind == _ADDRESS_X:
            column = word & 0x7FF
            if column < limit:
                x[n], y[n], t_ns[n], polarity[n] = column, row, time, word >> 11 & 1
                n += np.uint64(1)
            else:
                tally[_reason(sync, row, is_late)] += 1
        elif kind == _ADDRESS_Y:
            row = word & 0x7FF
            limit = width if sync == _SYNCHRONOUS and not is_late and row < height else 0
        elif kind == _VECTOR_12 or kind == _VECTOR_8:
            mask = word & (0xFFF if kind == _VECTOR_12 else 0xFF)
            if base >= 0 and base + 12 <= limit:
                bits = mask & 0xFF
                put_masked(n, 8, bits, base, row, time, vector_polarity, *out)
                n += np.uint64(NUM_BITS[bits])
                if kind == _VECTOR_12:
                    bits = mask >> 8
                    put_masked(n, 4, bits, base + 8, row, time, vector_polarity, *out)
                    n += np.uint64(NUM_BITS[bits])
            else:
                for k in range(12):
                    if mask >> k & 1:
                        if 0 <= base < limit - k:
                            x[n], y[n], t_ns[n] = base + k, row, time
                            polarity[n] = vector_polarity
                            n += np.uint64(1)
                        elif base < 0:
                            tally[UNDECODABLE] += 1
                        else:
                            tally[_reason(sync, row, is_late)] += 1
            if base >= 0:
                base += 12 if kind == _VECTOR_12 else 8
        elif kind == _VECTOR_BASE:
            base, vector_polarity = word & 0x7FF, word >> 11 & 1
        elif kind == _TIME_LOW:
            if sync >= _HIGH_KNOWN:
                sync = _SYNCHRONOUS
                now_us = epoch_us + (high << 12 | word & 0xFFF)
                is_late = now_us < time_us
                if is_late:
                    tally[TIME_STEPS_BACK] += 1
                else:
                    time_us = now_us
                    time = now_us * 1000
                limit = width if not is_late and 0 <= row < height else 0
        elif kind == _TIME_HIGH:
            new = word & 0xFFF
            step = (new - high) & 0xFFF  # forward, unless it is nearly a whole turn
            if sync == _NOTHING:
                high, sync = new, _HIGH_KNOWN
            elif step <= _NEAR:
                if new < high:
                    epoch_us += _WRAP_US
                high, sync, leap_high, pending_high = new, max(sync, _HIGH_KNOWN), -1, -1
            elif step >= 0x1000 - _NEAR:
                if new > high:
                    epoch_us -= _WRAP_US
                high, sync, leap_high, pending_high = new, max(sync, _HIGH_KNOWN), -1, -1
            elif leap_high >= 0 and (new - leap_high) & 0xFFF <= _NEAR:
                # The last one was wrong, and with it all events since.
                tally[TIME_STEPS_BACK] += 1
                tally[LATE] += np.int64(n - leap_n)
                n, time_us, time, is_late = leap_n, leap_time_us, leap_time_us * 1000, False
                epoch_us = leap_epoch_us + (_WRAP_US if new < leap_high else 0)
                high, leap_high, pending_high = new, -1, -1
                limit = width if 0 <= row < height else 0
            elif step < 0x800 or sync == _LOST:
                if sync == _SYNCHRONOUS:
                    leap_high, leap_epoch_us = high, epoch_us
                    leap_time_us, leap_n = time_us, n
                if new < high:
                    epoch_us += _WRAP_US
                high, sync, pending_high = new, max(sync, _HIGH_KNOWN), -1
            elif pending_high >= 0 and (new - pending_high) & 0xFFF <= 1:
                # What came before in this packet is of another time, and so of no use beside it.
                tally[TIME_JUMPS] += 1
                tally[LATE] += np.int64(n)
                n, limit, time_us, epoch_us = np.uint64(0), 0, _NEVER_US, 0
                high, sync, is_late, leap_high, pending_high = new, _HIGH_KNOWN, False, -1, -1
            else:
                pending_high = new
        elif kind == _TRIGGER:
            tally[TRIGGERS] += 1
        elif kind != _CONTINUED_4 and kind != _CONTINUED_12 and kind != _OTHERS:
            tally[UNKNOWN_WORDS] += 1
    state[_HIGH], state[_EPOCH_US], state[_TIME_US] = high, epoch_us, time_us
    state[_IS_LATE], state[_SYNC], state[_PENDING_HIGH] = is_late, sync, pending_high
    state[_LEAP_HIGH], state[_LEAP_EPOCH_US] = leap_high, leap_epoch_us
    state[_LEAP_TIME_US] = leap_time_us
    state[_ROW], state[_BASE], state[_POLARITY] = row, base, vector_polarity
    return n


@numba.njit(nogil=True, cache=True)
def _reason(sync, row, is_late):
    """Why an event that has a column cannot be given out."""
    if sync != _SYNCHRONOUS or row < 0:
        return UNDECODABLE
    return LATE if is_late else OUT_OF_RANGE
