"""Noise on what the network sees of a sensor, as in the paper."""

from dataclasses import dataclass

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Encoding
from mle_sam_ros.core.noise import add_noise, NOISES
from mle_sam_ros.replay.faults.fault import Fault, is_sensor, Window
import numpy as np


@dataclass(frozen=True)
class Noise(Fault):
    """Noise on the raster of a modality, by `core.noise` (MLE-SAM, Table VIII).

    Attributes:
        noise: gaussian or uniform.
    """

    kind = 'noise'
    takes = ' or '.join(NOISES)
    said = '{value} noise on {stream}'
    victims = 'a modality of the bundle'

    noise: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise not in NOISES:
            raise InputError(
                f'fault: expected noise to be {self.takes}, got {self.noise!r}; choose one'
            )

    @classmethod
    def parse(cls, stream: str, value: str, window: Window) -> 'Noise':
        """As `Fault.parse`."""
        return cls(stream, window, value)

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it; of several LiDARs the raster is that of `lidar`."""
        return is_sensor(stream)

    @property
    def value_text(self) -> str:
        """Which noise."""
        return self.noise

    def spoiled(
        self, raster: np.ndarray, encoding: Encoding, chance: np.random.Generator
    ) -> np.ndarray:
        """A new raster of the same shape and dtype; whole numbers are rounded."""
        noisy = add_noise(raster, encoding, self.noise, chance)
        return noisy if raster.dtype.kind == 'f' else np.rint(noisy).astype(raster.dtype)
