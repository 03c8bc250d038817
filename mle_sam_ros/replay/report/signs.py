"""Signs of trouble that the data itself shows, frame by frame: what a cause can be made of."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from mle_sam_ros.replay.frame import Frame
import numpy as np

_BRIGHT, _DARK = 250, 12
_LATE_MS = 100.0
# What the raster of a modality is full of; of others, pixels.
_CONTENT = {'event': 'events', 'lidar': 'LiDAR points'}


@dataclass(frozen=True, eq=False)
class Sign:
    """Something that is so in some frames of a drive.

    Attributes:
        text: says what, for a person.
        holds: (T,) bool, in which frames.
        values: (T,) float, its strength where it was measured; None where it was noted.
        unit: of the values.
        is_noted: whether somebody noted or injected it, so that it may be what others come from.
    """

    text: str
    holds: np.ndarray
    values: np.ndarray | None = None
    unit: str = ''
    is_noted: bool = False


class Signs:
    """Measures each frame, in a few numbers."""

    def __init__(self, modalities: tuple[str, ...]) -> None:
        """Start without frames, for the modalities of the bundle."""
        self._modalities = modalities
        # Row by row; drives are long, and as objects numbers take four times the room.
        self._numbers = array('d')

    def add(self, frame: Frame) -> None:
        """Measure the next frame."""
        confidence = float(frame.confidence[::4, ::4].mean()) / 255
        bright = dark = np.nan
        if frame.image is not None:
            green = frame.image[::4, ::4, 1]
            bright, dark = float((green >= _BRIGHT).mean()), float((green <= _DARK).mean())
        ages = [frame.ages_ms.get(name, np.nan) for name in self._modalities]
        coverages = [self._coverage(frame, name) for name in self._modalities]
        self._numbers.extend((confidence, bright, dark, *ages, *coverages))

    @property
    def confidences(self) -> np.ndarray:
        """(T,) mean confidence of each frame, 0 to 1."""
        return self._rows[:, 0]

    def found(self) -> Iterator[Sign]:
        """Signs that hold in some frame, each told from what is usual in the same drive."""
        values, count = self._rows, len(self._modalities)
        if not len(values):
            return
        bright, dark = 100 * values[:, 1], 100 * values[:, 2]
        ages, coverages = values[:, 3 : 3 + count].T, 100 * values[:, 3 + count :].T
        candidates = [
            Sign('over-exposed image', _exceeds(bright, 3, 10, 50), bright, '% saturated'),
            Sign('dark image', _exceeds(dark, 2, 50, 90), dark, '% black'),
        ]
        for name, age, coverage in zip(self._modalities, ages, coverages, strict=True):
            usual_age, usual = _usual(age), _usual(coverage)
            late = np.nan_to_num(np.abs(age)) > abs(usual_age) + _LATE_MS
            candidates.append(Sign(f'stale {name}', late, age, 'ms old'))
            if name != 'camera':
                sparse, dense = coverage < usual / 3, coverage > usual * 3
                content = _CONTENT.get(name, f'{name} pixels')
                unit = f'% of the image has any, usually {usual:.3g} %'
                candidates.append(Sign(f'few {content}', sparse, coverage, unit))
                candidates.append(Sign(f'many {content}', dense, coverage, unit))
        yield from (sign for sign in candidates if sign.holds.any())

    @property
    def _rows(self) -> np.ndarray:
        """(T, 3 + 2 M) float64."""
        return np.array(self._numbers).reshape(-1, 3 + 2 * len(self._modalities))

    @staticmethod
    def _coverage(frame: Frame, name: str) -> float:
        raster = frame.rasters.get(name)
        if raster is None or name == 'camera':
            return np.nan
        few = raster[::4, ::4]
        # Far faster than any(axis=2).
        is_seen = (few[:, :, 0] != 0) | (few[:, :, 1] != 0) | (few[:, :, 2] != 0)
        return float(is_seen.mean())


def _usual(values: np.ndarray) -> float:
    """The median; NaN, with which nothing compares, without values."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def _exceeds(values: np.ndarray, factor: float, least: float, certain: float) -> np.ndarray:
    """Where values are far above those of the calmest quarter of the drive, or high anyway."""
    known = values[~np.isnan(values)]
    calm = float(np.quantile(known, 0.25)) if len(known) else np.nan
    return (values > max(factor * calm, least)) | (values >= certain)
