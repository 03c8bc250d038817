"""The messages of one event camera to events on the host's clock."""

from dataclasses import dataclass, field
from typing import Any

from mle_sam_ros.core import event_tally
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_cloud import decode_event_cloud
from mle_sam_ros.core.event_evt2 import Evt2Words
from mle_sam_ros.core.event_evt3 import Evt3Words
from mle_sam_ros.core.event_libcaer import LibcaerCmpWords, LibcaerWords
from mle_sam_ros.core.event_mono import MonoWords
from mle_sam_ros.core.event_words import EventWords
from mle_sam_ros.core.events import EMPTY, Events
from mle_sam_ros.core.sensor_clock import SensorClock
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np

_ENCODINGS: dict[str, type[EventWords]] = {
    'evt3': Evt3Words,
    'libcaer': LibcaerWords,
    'libcaer_cmp': LibcaerCmpWords,
    'mono': MonoWords,
    'evt2': Evt2Words,
}
_SECOND = 1_000_000_000
# Beyond this silence a 24-bit counter of microseconds may as well have gone back.
_MAX_SILENCE_NS = 8 * _SECOND
# A stamp that went back less is of a packet that was overtaken, one that went back more of a
# recording that starts again.
_MAX_DISORDER_NS = _SECOND
# Memory for one packet stays below 0.2 GB, whatever it claims to hold.
_MAX_EVENTS = 1 << 24


@dataclass
class EventCounters:
    """What became of the packets of one stream, and of what they held.

    Attributes:
        packets: received.
        events: given out.
        rejected_packets: that could not be used at all.
        truncated_packets: that ended inside a word.
        lost_packets: that never came, by the sequence numbers of those that did.
        disordered_packets: left out, as a later one came before them, or the same one.
        restarts: of the driver, of the recording, or after a long silence.
        tally: int64 counts by `event_tally.NAMES`.
    """

    packets: int = 0
    events: int = 0
    rejected_packets: int = 0
    truncated_packets: int = 0
    lost_packets: int = 0
    disordered_packets: int = 0
    restarts: int = 0
    tally: np.ndarray = field(
        default_factory=lambda: np.zeros(len(event_tally.NAMES), np.int64), repr=False
    )

    def to_mapping(self) -> dict[str, int]:
        """All counts by name."""
        counts = {name: value for name, value in vars(self).items() if name != 'tally'}
        return counts | dict(zip(event_tally.NAMES, self.tally.tolist(), strict=True))


class EventDecoder:
    """Decodes what one event camera sends; not for several, as packets continue one another.

    Attributes:
        counters: of packets and of what they held.
        clock: of the sensor.
        end_ns: until when the stream has told everything, on the host's clock; None where it is
            not known.
    """

    def __init__(self) -> None:
        self.counters = EventCounters()
        self.clock = SensorClock()
        self.end_ns: int | None = None
        self._encoding = ''
        self._words: EventWords = _ENCODINGS['mono']()
        self._last: tuple[int, int] | None = None  # sequence number and stamp

    def decode(
        self, message: Any, source: str, sensor_hw: tuple[int, int] | None = None
    ) -> Events:
        """Read the next message.

        Args:
            message: `event_camera_msgs/EventPacket`, the older `event_array_msgs/EventArray`, or
                `sensor_msgs/PointCloud2` with x, y, t and polarity.
            source: its topic, for error messages.
            sensor_hw: (height, width) by the calibration, where known; a packet that names another
                size is refused. Clouds name none.

        Returns:
            On the host's clock, in order of time; none where the message was overtaken by a later
            one, or the sensor's time is not known yet.

        Raises:
            InputError: for a message that cannot be used at all; what is wrong with single words
                is counted.
        """
        self.counters.packets += 1
        try:
            if hasattr(message, 'time_base'):
                events = self._decode_packet(message, source, sensor_hw)
            else:
                events = self._decode_cloud(message, source)
        except InputError:
            self.counters.rejected_packets += 1
            raise
        self.counters.events += len(events)
        return events

    def to_mapping(self) -> dict[str, int | float]:
        """All counters, and where it is known the clock's offset and drift."""
        clock: dict[str, int | float] = {'clock_jumps': self.clock.jumps}
        if self.clock.offset_ns is not None:
            clock['clock_offset_ms'] = round(self.clock.offset_ns / 1e6, 3)
        if self.clock.drift_ppm is not None:
            clock['clock_drift_ppm'] = round(self.clock.drift_ppm, 1)
        return self.counters.to_mapping() | clock

    def _decode_cloud(self, message: Any, source: str) -> Events:
        events = decode_event_cloud(message, source)
        self.end_ns = int(events.t_ns[-1]) if len(events) else stamp_ns(message.header)
        return events

    def _decode_packet(
        self, message: Any, source: str, sensor_hw: tuple[int, int] | None
    ) -> Events:
        size_hw, time_base_ns = _checked_head(message, source)
        if sensor_hw not in (None, size_hw):
            raise InputError(
                f'{source}: expected the calibrated {_size_text(sensor_hw)}, got packets of '
                f'{_size_text(size_hw)}; calibrate this sensor, or correct its CameraInfo'
            )
        if not self._follows(message):
            self.counters.disordered_packets += 1
            return EMPTY
        words = self._words_of(message)
        count = self._words.count(words)
        if count > _MAX_EVENTS:
            raise InputError(
                f'{source}: expected a packet of at most {_MAX_EVENTS} events, got {count}; '
                'lower the event_message_time_threshold of the driver'
            )
        jumps = self.counters.tally[event_tally.TIME_JUMPS]
        events = self._words.decode(words, count, size_hw, time_base_ns, self.counters.tally)
        if self.counters.tally[event_tally.TIME_JUMPS] > jumps:
            self.clock.restart()
        return self._on_host_clock(events, stamp_ns(message.header))

    def _follows(self, message: Any) -> bool:
        """Whether the packet comes after the last one; notes what lies between."""
        number, now_ns = int(message.seq), stamp_ns(message.header)
        if self._last is None or message.encoding != self._encoding:
            self._restart(message.encoding)
        else:
            last_number, last_ns = self._last
            is_earlier = last_ns - _MAX_DISORDER_NS <= now_ns <= last_ns
            if is_earlier and (number < last_number or (number, now_ns) == self._last):
                return False
            is_continuous = last_ns - _MAX_DISORDER_NS <= now_ns <= last_ns + _MAX_SILENCE_NS
            if number < last_number or not is_continuous:
                self._restart(message.encoding)
                self.counters.restarts += 1
            elif number > last_number + 1:
                self.counters.lost_packets += number - last_number - 1
                self._words.skip()
        self._last = number, now_ns
        return True

    def _restart(self, encoding: str) -> None:
        self._encoding = encoding
        self._words = _ENCODINGS[encoding]()
        self.clock.restart()

    def _words_of(self, message: Any) -> np.ndarray:
        """The packet's words in this machine's byte order, as an aligned read-only array.

        Read-only even where the message is not: kernels are compiled for each kind anew.
        """
        dtype = self._words.dtype.newbyteorder('>' if message.is_bigendian else '<')
        num_words, num_left = divmod(len(message.events), dtype.itemsize)
        self.counters.truncated_packets += num_left > 0
        words = np.frombuffer(message.events, dtype, num_words)
        if not words.flags.aligned:
            words = np.frombuffer(bytes(message.events), dtype, num_words)
        if not dtype.isnative:
            words = words.astype(self._words.dtype)
        words.flags.writeable = False
        return words

    def _on_host_clock(self, events: Events, now_ns: int) -> Events:
        if len(events):
            self.clock.observe(int(events.t_ns[0]), now_ns)
        if self._words.has_host_time:
            events = events.in_order()
            self.end_ns = int(events.t_ns[-1]) if len(events) else now_ns
            return events
        end_ns = self._words.end_ns
        if self.clock.offset_ns is None or end_ns is None:
            return EMPTY
        self.end_ns = self.clock.to_host(events.t_ns, end_ns)
        return events


def compile_kernels() -> None:
    """Read an empty packet of every encoding, so that no live one waits for a compiler."""
    for kind in _ENCODINGS.values():
        reader, words = kind(), np.empty(0, kind.dtype)
        words.flags.writeable = False
        tally = np.zeros(len(event_tally.NAMES), np.int64)
        reader.decode(words, reader.count(words), (1, 1), 0, tally)


def _checked_head(message: Any, source: str) -> tuple[tuple[int, int], int]:
    """(height, width) and time base of a packet that can be decoded."""
    if message.encoding not in _ENCODINGS:
        raise InputError(
            f'{source}: expected one of the encodings {", ".join(_ENCODINGS)}, got '
            f'{message.encoding!r}; set the encoding in the event camera driver'
        )
    size_hw = int(message.height), int(message.width)
    if 0 in size_hw:
        raise InputError(
            f'{source}: expected the size of the sensor, got {_size_text(size_hw)}; '
            'fix the event camera driver'
        )
    time_base_ns = int(message.time_base)
    if time_base_ns >= 2**62:
        raise InputError(
            f'{source}: expected a time_base in nanoseconds, got {time_base_ns}; '
            'fix the event camera driver'
        )
    return size_hw, time_base_ns


def _size_text(size_hw: tuple[int, int]) -> str:
    return f'{size_hw[1]} x {size_hw[0]} pixels'
