"""Streams of events in HDF5 files as packets of 10 ms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mle_sam_ros.bags import messages
from mle_sam_ros.bags.convert.rig import FRAMES, Item
from mle_sam_ros.bags.data_sets.hdf5_file import dataset_of
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.events import EMPTY, Events
import numpy as np

PACKET_NS = 10_000_000
_MAX_SILENCE_NS = 60_000_000_000
_BLOCK = 1 << 20  # events read at a time: 14 MB


class EventStream:
    """The datasets x, y, t (microseconds) and p of one event camera, all of one length."""

    def __init__(self, group: Any, path: Path, offset_ns: int, size_hw: tuple[int, int]) -> None:
        """Look at the datasets; nothing is read yet.

        Args:
            group: of the file, with x, y, t and p.
            path: of the file, for error messages.
            offset_ns: from t to the time of the other sensors.
            size_hw: (height, width) of the event camera.

        Raises:
            InputError: for datasets that are missing, or of different lengths.
        """
        self._x, self._y, self._t = (
            dataset_of(group, name, path, (None,), 'ui') for name in 'xyt'
        )
        self._p = dataset_of(group, 'p', path, (None,), 'uib')
        lengths = {len(column) for column in (self._x, self._y, self._t, self._p)}
        if len(lengths) > 1:
            raise InputError(
                f'{path}: expected x, y, t and p of one length, got {sorted(lengths)}; '
                'the file is damaged, download it again'
            )
        self._path, self._offset_ns, self._size_hw = path, offset_ns, size_hw

    def __len__(self) -> int:
        return len(self._t)

    def first_ns(self) -> int:
        """When the stream begins, in the time of the other sensors."""
        return int(self._t[0]) * 1000 + self._offset_ns if len(self) else self._offset_ns

    def num_packets(self) -> int:
        """How many packets `packets` gives."""
        if not len(self):
            return 0
        return (int(self._t[-1]) - int(self._t[0])) * 1000 // PACKET_NS + 1

    def packets(self) -> Iterator[Item]:
        """Packets of 10 ms, also empty ones, each logged and stamped when its time is over.

        Raises:
            InputError: for events that are out of order, or off the sensor.
        """
        rest, start_ns, seq = EMPTY, self.first_ns(), 0
        for block in self._blocks():
            events = Events.concatenate([rest, block])
            num_whole = (int(events.t_ns[-1]) - start_ns) // PACKET_NS
            ends_ns = start_ns + PACKET_NS * np.arange(1, num_whole + 1)
            first = 0
            for end in np.searchsorted(events.t_ns, ends_ns).tolist():
                yield self._packet(events[first:end], start_ns, seq)
                first, start_ns, seq = end, start_ns + PACKET_NS, seq + 1
            rest = events[first:]
        if len(rest):
            yield self._packet(rest, start_ns, seq)

    def _packet(self, events: Events, start_ns: int, seq: int) -> Item:
        end_ns = start_ns + PACKET_NS
        packet = messages.event_packet(events, self._size_hw, end_ns, FRAMES['event'], seq)
        return end_ns, '/event_camera/events', packet

    def _blocks(self) -> Iterator[Events]:
        last_ns = 0
        for start in range(0, len(self), _BLOCK):
            part = slice(start, start + _BLOCK)
            t_ns = self._t[part].astype(np.int64) * 1000 + self._offset_ns
            steps = np.diff(t_ns, prepend=last_ns if start else t_ns[0])
            if steps.min() < 0 or steps.max() > _MAX_SILENCE_NS:
                raise InputError(
                    f'{self._path}: expected events in order of time, at most '
                    f'{_MAX_SILENCE_NS // 10**9} s apart, got steps from {steps.min() / 1e9:g} to '
                    f'{steps.max() / 1e9:g} s after event {start}; the file is damaged'
                )
            x, y, p = self._x[part], self._y[part], self._p[part]
            height, width = self._size_hw
            if x.max() >= width or y.max() >= height or x.min() < 0 or y.min() < 0:
                raise InputError(
                    f'{self._path}: expected events within {width} x {height}, got x up to '
                    f'{x.max()} and y up to {y.max()}; the file is of another event camera'
                )
            last_ns = int(t_ns[-1])
            columns = x.astype(np.uint16), y.astype(np.uint16), t_ns, (p > 0).astype(np.uint8)
            yield Events(*columns)
