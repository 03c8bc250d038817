"""Prophesee's EVT2: 32-bit words, one per event, with the low six bits of its time.

Unverified: written from its description, and never run on what a sensor recorded. No driver for
ROS publishes it.
"""

from collections.abc import Callable

from mle_sam_ros.core.event_tally import (
    LATE,
    OUT_OF_RANGE,
    TIME_STEPS_BACK,
    TRIGGERS,
    UNDECODABLE,
    UNKNOWN_WORDS,
)
from mle_sam_ros.core.event_words import EventWords
import numba
import numpy as np

# Types of words, bits 31..28; bits 27..22 of an event are the low bits of its time. TIME_HIGH has
# the 28 bits above them, in microseconds: it wraps every 4.8 hours.
_ON = 0x1
_TIME_HIGH = 0x8
_TRIGGER = 0xA
_OTHERS = 0xE
_CONTINUED = 0xF

_WRAP_US = 1 << 34
# A TIME_HIGH smaller than the last one by less than this many (0.1 s) is a glitch, not a wrap.
_NEAR = 1600

# Positions in the state of the kernel: the last TIME_HIGH or -1, all wraps, the newest time.
_HIGH, _EPOCH_US, _TIME_US, _STATE_SIZE = range(4)


class Evt2Words(EventWords):
    """Packets continue one another: the upper part of the time holds until another comes."""

    dtype = np.dtype('u4')
    has_host_time = False

    def __init__(self) -> None:
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._state[_HIGH] = -1

    @property
    def end_ns(self) -> int | None:
        """The sensor's time; None before the first."""
        return None if self._state[_HIGH] < 0 else int(self._state[_TIME_US]) * 1000

    def skip(self) -> None:
        """Nothing to forget: a TIME_HIGH comes every 16 us."""

    def count(self, words: np.ndarray) -> int:
        """Each word may be an event."""
        return len(words)

    @property
    def _kernel(self) -> Callable[..., int]:
        return _decode

    def _memory(self, time_base_ns: int) -> np.ndarray:
        return self._state  # drivers leave the time base undefined


@numba.njit(nogil=True, cache=True)
def _decode(words, height, width, state, tally, x, y, t_ns, polarity):
    high, epoch_us, time_us = state[_HIGH], state[_EPOCH_US], state[_TIME_US]
    n = 0
    for i in range(len(words)):
        word = np.int64(words[i])
        kind = word >> 28
        if kind <= _ON:
            column, row = word >> 11 & 0x7FF, word & 0x7FF
            now_us = epoch_us + (high << 6 | word >> 22 & 0x3F)
            if high < 0:
                tally[UNDECODABLE] += 1
            elif now_us < time_us:
                tally[LATE] += 1
            elif column >= width or row >= height:
                tally[OUT_OF_RANGE] += 1
            else:
                time_us = now_us
                x[n], y[n], t_ns[n], polarity[n] = column, row, now_us * 1000, kind
                n += 1
        elif kind == _TIME_HIGH:
            new = word & 0xFFFFFFF
            if new < high - _NEAR:
                epoch_us += _WRAP_US
            elif new < high:
                tally[TIME_STEPS_BACK] += 1
            high = new
            time_us = max(time_us, epoch_us + (high << 6))
        elif kind == _TRIGGER:
            tally[TRIGGERS] += 1
        elif kind not in (_OTHERS, _CONTINUED):
            tally[UNKNOWN_WORDS] += 1
    state[_HIGH], state[_EPOCH_US], state[_TIME_US] = high, epoch_us, time_us
    return n
