"""A camera that exposes wrongly."""

from dataclasses import dataclass, replace

from mle_sam_ros.bags.messages import image
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import decode_image
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.replay.faults.fault import Draw, MessageFault, NumberFault, Passing, Step
import numpy as np


@dataclass(frozen=True)
class Exposure(NumberFault, MessageFault):
    """The camera exposes by so many stops more (below zero: less), each twice the light.

    The light of an 8-bit sRGB image is scaled and clipped. What the recording had clipped already
    stays so, and no blur or noise of another exposure is added. Packed images come unpacked.
    """

    kind = 'exposure'
    takes = 'stops'
    said = '{stream} exposure off by {number:+g} stops'
    victims = 'camera'
    low, high = -16.0, 16.0

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""
        return stream == 'camera'

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        table = exposure_table(self.value)

        def step(item: Passing, holds: bool) -> Passing:
            if not (holds and self.value):
                return item
            message = item.message
            try:
                pixels = table[decode_image(message, self.stream)]
            except InputError:
                return item  # whoever reads it says what is wrong with it
            header = message.header
            exposed = image(pixels, 'rgb8', stamp_ns(header), header.frame_id)
            return item._replace(message=replace(exposed, header=header))

        return step


def exposure_table(stops: float) -> np.ndarray:
    """(256,) uint8: from a value in sRGB to that of 2^stops times its light."""
    value = np.arange(256) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    light = np.minimum(light * 2.0**stops, 1.0)
    exposed = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255 * exposed).astype(np.uint8)
