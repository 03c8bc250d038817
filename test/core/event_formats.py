"""Words of every format from events, and slow decoders that say what the formats mean."""

from types import SimpleNamespace

import messages
from mle_sam_ros.core import event_tally
import numpy as np

WRAP_US = 1 << 24


def packet(words, encoding, dtype, stamp_ns, **changes):
    """An EventPacket of (N,) words, from a sensor of 346 x 260 pixels."""
    message = SimpleNamespace(
        header=messages.header(stamp_ns), height=260, width=346, seq=0, time_base=0,
        encoding=encoding, is_bigendian=False, events=np.array(words, dtype).tobytes(),
    )  # fmt: skip
    vars(message).update(changes)
    return message


# From (x, y, t in microseconds, polarity), in order of time.


def libcaer_word(x, y, t_us, polarity, valid=True):
    return valid | polarity << 1 | y << 2 | x << 17 | (t_us & 0xFFFFFFFF) << 32


def mono_word(x, y, t_ns, polarity):
    return t_ns | x << 32 | y << 48 | polarity << 63


def evt2_words(events):
    words, high = [], None
    for x, y, t_us, polarity in events:
        if t_us >> 6 != high:
            high = t_us >> 6
            words.append(0x8 << 28 | high & 0xFFFFFFF)
        words.append(polarity << 28 | (t_us & 0x3F) << 22 | x << 11 | y)
    return words


def evt3_words(events):
    """A mask for the next twelve pixels where the event after it lies there, else one address."""
    words, now_us = [], None
    events = list(events)
    while events:
        x, y, t_us, polarity = events[0]
        if t_us != now_us:
            words += [0x8000 | t_us >> 12 & 0xFFF, 0x6000 | t_us & 0xFFF]
            now_us = t_us
        words.append(y)
        group = _neighbours(events, 12)
        if len(group) == 1:
            words.append(0x2000 | polarity << 11 | x)
        else:
            words.append(0x3000 | polarity << 11 | x)
            mask = sum(1 << other[0] - x for other in group)
            words.append(0x5000 | mask if mask < 256 else 0x4000 | mask)
        del events[: len(group)]
    return words


def libcaer_cmp_words(events):
    """As EVT3 with columns and rows exchanged, and times since the packet's time base."""
    words, now_us = [], None
    events = [(y, x, t_us, polarity) for x, y, t_us, polarity in events]
    while events:
        y, x, t_us, polarity = events[0]
        if t_us != now_us:
            words += [t_us >> 12 & 0xFFF, 0x1000 | t_us & 0xFFF]
            now_us = t_us
        words.append(0x2000 | x)
        group = _neighbours(events, 8)
        if len(group) == 1:
            words.append(0x3000 | polarity << 11 | y)
        else:
            mask = sum(1 << other[0] - y for other in group)
            words += [0x4000 | polarity << 11 | y, 0x5000 | mask]
        del events[: len(group)]
    return words


def _neighbours(events, reach):
    first = events[0]
    group = [first]
    for event in events[1:]:
        if event[1:] != first[1:] or not group[-1][0] < event[0] < first[0] + reach:
            break
        group.append(event)
    return group


# Slow decoders: `decode` of words gives [(x, y, t in nanoseconds, polarity)].


class _Reference:
    def __init__(self, size_hw):
        self.height, self.width = size_hw
        self.tally = dict.fromkeys(event_tally.NAMES, 0)

    def is_inside(self, x, y):
        if x < self.width and y < self.height:
            return True
        self.tally['out_of_range'] += 1
        return False


class Evt3Reference(_Reference):
    def __init__(self, size_hw):
        super().__init__(size_hw)
        self.high = self.time_us = None
        self.is_time_sure = self.is_high_sure = self.is_late = False
        self.epoch_us = 0
        self.skip()

    def skip(self):
        self.is_time_sure = self.is_high_sure = False
        self.before_leap = self.pending = self.row = self.base = None

    def decode(self, words, time_base_ns=0):
        self.events = []
        if self.before_leap:
            self.before_leap = (*self.before_leap[:3], 0)
        for word in words:
            self.read(int(word) >> 12, int(word))
        return self.events

    def read(self, kind, word):
        if kind == 0x0:
            self.row = word % 2048
        elif kind == 0x2:
            self.emit(word % 2048, word >> 11 & 1)
        elif kind == 0x3:
            self.base, self.polarity = word % 2048, word >> 11 & 1
        elif kind in (0x4, 0x5):
            length = 12 if kind == 0x4 else 8
            for bit in range(length):
                if word >> bit & 1:
                    self.emit(None if self.base is None else self.base + bit, self.vector_polarity)
            if self.base is not None:
                self.base += length
        elif kind == 0x6:
            self.read_time(word % 4096)
        elif kind == 0x8:
            self.read_time_high(word % 4096)
        elif kind == 0xA:
            self.tally['triggers'] += 1
        elif kind not in (0x7, 0xE, 0xF):
            self.tally['unknown_words'] += 1

    @property
    def vector_polarity(self):
        return getattr(self, 'polarity', 0)

    def emit(self, x, polarity):
        if x is None or self.row is None or not self.is_time_sure:
            self.tally['undecodable'] += 1
        elif self.is_late:
            self.tally['late'] += 1
        elif self.is_inside(x, self.row):
            self.events.append((x, self.row, self.time_us * 1000, polarity))

    def read_time(self, low):
        if not self.is_high_sure:
            return
        self.is_time_sure = True
        now_us = self.epoch_us + self.high * 4096 + low
        self.is_late = self.time_us is not None and now_us < self.time_us
        if self.is_late:
            self.tally['time_steps_back'] += 1
        else:
            self.time_us = now_us

    def read_time_high(self, high):
        if self.high is None:
            self.high, self.is_high_sure = high, True
            return
        forward = (high - self.high) % 4096
        is_return = self.before_leap and (high - self.before_leap[0]) % 4096 <= 10
        is_repeated = self.pending is not None and (high - self.pending) % 4096 <= 1
        if 10 < forward < 4096 - 10 and is_return:
            self.tally['time_steps_back'] += 1
            old_high, self.epoch_us, self.time_us, count = self.before_leap
            self.epoch_us += WRAP_US * (high < old_high)
            self.tally['late'] += len(self.events) - count
            del self.events[count:]
            self.is_late, self.before_leap = False, None
        elif forward >= 4096 - 10:  # a small step back
            self.epoch_us -= WRAP_US * (high > self.high)
            self.before_leap = None
        elif forward < 2048 or not self.is_high_sure:
            is_leap = forward > 10 and self.is_time_sure
            before = self.high, self.epoch_us, self.time_us, len(self.events)
            self.before_leap = before if is_leap else None
            self.epoch_us += WRAP_US * (high < self.high)
        elif is_repeated:
            self.tally['time_jumps'] += 1
            self.tally['late'] += len(self.events)
            self.events.clear()
            self.epoch_us, self.time_us, self.before_leap = 0, None, None
            self.is_time_sure = self.is_late = False
        else:
            self.pending = high
            return
        self.high, self.is_high_sure, self.pending = high, True, None


class Evt2Reference(_Reference):
    def __init__(self, size_hw):
        super().__init__(size_hw)
        self.high = None
        self.epoch_us = self.time_us = 0

    def skip(self):
        pass

    def decode(self, words, time_base_ns=0):
        self.events = []
        for word in words:
            self.read(int(word) >> 28, int(word))
        return self.events

    def read(self, kind, word):
        if kind in (0x0, 0x1):
            self.emit(word >> 11 & 0x7FF, word & 0x7FF, word >> 22 & 0x3F, kind)
        elif kind == 0x8:
            high = word % 2**28
            if self.high is not None and high < self.high - 1600:
                self.epoch_us += 1 << 34
            elif self.high is not None and high < self.high:
                self.tally['time_steps_back'] += 1
            self.high = high
            self.time_us = max(self.time_us, self.epoch_us + high * 64)
        elif kind == 0xA:
            self.tally['triggers'] += 1
        elif kind not in (0xE, 0xF):
            self.tally['unknown_words'] += 1

    def emit(self, x, y, low, polarity):
        if self.high is None:
            self.tally['undecodable'] += 1
            return
        now_us = self.epoch_us + self.high * 64 + low
        if now_us < self.time_us:
            self.tally['late'] += 1
        elif self.is_inside(x, y):
            self.time_us = now_us
            self.events.append((x, y, now_us * 1000, polarity))


class LibcaerCmpReference(_Reference):
    def skip(self):
        pass

    def decode(self, words, time_base_ns=0):
        events, high, low_us, x, base, vector_polarity = [], 0, 0, None, None, 0
        for word in words:
            kind, value = int(word) >> 12, int(word) % 4096
            found = []
            if kind == 0:
                high = value
            elif kind == 1:
                low_us = high * 4096 + value
            elif kind == 2:
                x = value % 2048
            elif kind == 3:
                found = [(value % 2048, value >> 11)]
            elif kind == 4:
                base, vector_polarity = value % 2048, value >> 11
            elif kind == 5:
                bits = [bit for bit in range(8) if value >> bit & 1]
                found = [(None if base is None else base + bit, vector_polarity) for bit in bits]
                base = None if base is None else base + 8
            else:
                self.tally['unknown_words'] += 1
            for y, polarity in found:
                if x is None or y is None:
                    self.tally['undecodable'] += 1
                elif self.is_inside(x, y):
                    events.append((x, y, time_base_ns + low_us * 1000, polarity))
        return events


class LibcaerReference(_Reference):
    def skip(self):
        pass

    def decode(self, words, time_base_ns=0):
        events, rollovers, last_us = [], 0, None
        for word in words:
            word = int(word)
            t_us = int(np.array(word >> 32, np.uint32).view(np.int32))
            rollovers += last_us is not None and t_us - last_us < -(2**30)
            last_us = t_us
            x, y = word >> 17 & 0x7FFF, word >> 2 & 0x7FFF
            if word & 1 and self.is_inside(x, y):
                t_ns = time_base_ns + (t_us + rollovers * 2**31) * 1000
                events.append((x, y, t_ns, word >> 1 & 1))
        return events


class MonoReference(_Reference):
    def skip(self):
        pass

    def decode(self, words, time_base_ns=0):
        events = []
        for word in words:
            word = int(word)
            x, y = word >> 32 & 0xFFFF, word >> 48 & 0x7FFF
            if self.is_inside(x, y):
                events.append((x, y, time_base_ns + word % 2**32, word >> 63))
        return events
