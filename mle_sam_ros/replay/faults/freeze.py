"""A sensor that shows the same over and over."""

from dataclasses import dataclass, replace
from typing import Any

from mle_sam_ros.replay.faults.fault import (
    Draw,
    is_sensor,
    MessageFault,
    NumberFault,
    Passing,
    Step,
)


@dataclass(frozen=True)
class Freeze(NumberFault, MessageFault):
    """Each message has, with a probability, the content of the one before, and a stamp of its own.

    With 1 for some seconds the picture stands still, as of a driver whose buffer is not refilled.
    """

    kind = 'freeze'
    takes = 'a probability'
    said = '{part} {stream} messages repeat the one before'
    victims = 'camera, lidar, lidar_2 to lidar_9, or an image aligned with the camera'
    low, high = 0.0, 1.0

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it; packets of events cannot be had twice."""
        return is_sensor(stream) and stream != 'event'

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        latest: Any = None

        def step(item: Passing, holds: bool) -> Passing:
            nonlocal latest
            if latest is None or not holds or draw(item.number).random() >= self.value:
                latest = item.message
                return item
            return item._replace(message=replace(latest, header=item.message.header))

        return step
