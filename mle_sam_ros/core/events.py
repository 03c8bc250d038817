"""Events of an event camera as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Events:
    """Changes of brightness, in order of time.

    Attributes:
        x: (N,) uint16, column.
        y: (N,) uint16, row.
        t_ns: (N,) int64, sensor time, never decreasing.
        polarity: (N,) uint8, 1 brighter, 0 darker.
    """

    x: np.ndarray
    y: np.ndarray
    t_ns: np.ndarray
    polarity: np.ndarray

    def __len__(self) -> int:
        return len(self.t_ns)

    @property
    def nbytes(self) -> int:
        """Memory of the arrays, bytes."""
        return self.x.nbytes + self.y.nbytes + self.t_ns.nbytes + self.polarity.nbytes

    def __getitem__(self, index: slice | np.ndarray) -> 'Events':
        """Some of the events: views for a slice, copies for indices or a mask."""
        return Events(self.x[index], self.y[index], self.t_ns[index], self.polarity[index])

    def window(self, after_ns: int, until_ns: int) -> 'Events':
        """The events with after_ns < t <= until_ns, as views."""
        if len(self) and after_ns < self.t_ns[0] and self.t_ns[-1] <= until_ns:
            return self
        first, last = np.searchsorted(self.t_ns, [after_ns, until_ns], side='right')
        return self[first:last]

    def in_order(self) -> 'Events':
        """The same events sorted by time; those of one time keep their order."""
        if (self.t_ns[1:] >= self.t_ns[:-1]).all():
            return self
        return self[np.argsort(self.t_ns, kind='stable')]

    @staticmethod
    def uninitialized(count: int) -> 'Events':
        """Room for so many events."""
        return Events(
            np.empty(count, np.uint16),
            np.empty(count, np.uint16),
            np.empty(count, np.int64),
            np.empty(count, np.uint8),
        )

    @staticmethod
    def concatenate(parts: Sequence['Events']) -> 'Events':
        """Join parts that follow one another in time; no parts give no events."""
        if not parts:
            return EMPTY
        return Events(
            np.concatenate([part.x for part in parts]),
            np.concatenate([part.y for part in parts]),
            np.concatenate([part.t_ns for part in parts]),
            np.concatenate([part.polarity for part in parts]),
        )


EMPTY = Events(
    np.empty(0, np.uint16), np.empty(0, np.uint16), np.empty(0, np.int64), np.empty(0, np.uint8)
)
