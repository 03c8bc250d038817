"""What every format of event words offers to the decoder of a stream."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from mle_sam_ros.core.events import Events
import numpy as np

# A mask of eight events is written whole, also beyond the last of them.
_NUM_SPARE = 8


class EventWords(ABC):
    """Reads the packets of one stream, in their order.

    Attributes:
        dtype: of a word; a packet's bytes are a whole number of them.
        has_host_time: whether times come on the host's clock; else on the sensor's own, which
            begins anywhere.
    """

    dtype: np.dtype
    has_host_time: bool

    @property
    @abstractmethod
    def end_ns(self) -> int | None:
        """Until when everything was told, on the sensor's own clock; None if it is not known."""

    @abstractmethod
    def skip(self) -> None:
        """Packets were lost: forget what they may have changed."""

    @abstractmethod
    def count(self, words: np.ndarray) -> int:
        """The most events that the words can hold; memory is taken for so many."""

    def decode(
        self,
        words: np.ndarray,
        count: int,
        size_hw: tuple[int, int],
        time_base_ns: int,
        tally: np.ndarray,
    ) -> Events:
        """The events of a packet.

        Args:
            words: (N,) of `dtype`, read-only, N >= 0.
            count: what `count` says of them.
            size_hw: (height, width) of the sensor; what lies outside is counted and left out.
            time_base_ns: of the packet.
            tally: (len(event_tally.NAMES),) int64, added to.

        Returns:
            As they stood in the packet; in order of time where the clock is the sensor's own.
        """
        out = Events.uninitialized(count + _NUM_SPARE)
        columns = out.x, out.y, out.t_ns, out.polarity
        memory = self._memory(time_base_ns)
        return out[: self._kernel(words, *size_hw, memory, tally, *columns)]

    @property
    @abstractmethod
    def _kernel(self) -> Callable[..., int]:
        """What decodes: writes events, and returns their number.

        Takes words, height, width, `_memory`, tally, and where to write x, y, t_ns and polarity.
        """

    @abstractmethod
    def _memory(self, time_base_ns: int) -> Any:
        """What the kernel needs beside the words: the packet's time base, or an own state."""


class PacketWords(EventWords):
    """Words that need nothing of the packets before them, with times on the host's clock."""

    has_host_time = True

    @property
    def end_ns(self) -> None:
        """Not known: the host's clock has the time of the last event."""
        return None

    def skip(self) -> None:
        """Nothing to forget."""

    def _memory(self, time_base_ns: int) -> int:
        return time_base_ns
