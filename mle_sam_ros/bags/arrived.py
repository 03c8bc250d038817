"""Messages on their way from a recording to the pipeline."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np


class Arrived(NamedTuple):
    """A message, when it arrives (log time), and the stream of the pipeline that it is of."""

    time_ns: int
    stream: str
    message: Any


class Disturbance(Protocol):
    """What is done to a drive on its way through the pipeline, as faults are that are injected."""

    def arrivals(self, arrivals: Iterator[Arrived]) -> Iterator[Arrived]:
        """What arrives in the place of a recording's messages, in the order of its times.

        The messages given are shared, and stay as they are.
        """
        ...

    def rasters(self, stamp_ns: int, rasters: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network sees in the place of an instant's rasters, as `Pipeline` says."""
        ...
