"""Whether what the fusion trusts agrees with the health of the sensors."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
import threading

from mle_sam_ros.core.pipeline import Prediction
import numpy as np

# Every eighth pixel in each direction says enough of how full a raster is.
_STRIDE = 8
# Of a camera image's grey values; healthy ones have 25 and more, day or night.
_LEAST_CONTRAST = 3.0
# Of a LiDAR's or another sensor's pixels; healthy sweeps cover half of the image.
_LEAST_COVERAGE = 0.005
# Mean over the pyramid levels. Less is no trust: some routers always leave a sensor out.
_LEAST_WEIGHT = 0.02
# Less than this part of what a sensor used to get is neglect; day, night and fog differ by 13.
_IGNORED_PART = 0.05
# Over how long the usual weight of a sensor is learnt, and from when on it is known.
_LEARNT_OVER_S, _KNOWN_AFTER_S = 60.0, 10.0
_SILENCE_S = 2.0


@dataclass(frozen=True)
class Fusion:
    """What became of the streams in the predictions so far.

    Attributes:
        sets: predictions made.
        served: in how many of them each stream took part.
        stamp_ns: of the last one; None before the first.
        stamps_ns: of the sample of each stream in it.
        weights: modality to router weight in it, the mean over the levels.
        usual_weights: modality to its router weight over the last minute.
        contents: modality to how much its raster holds: the contrast of a camera image in grey
            values, else the part of the pixels that is not empty; only those present.
    """

    sets: int = 0
    served: Mapping[str, int] = field(default_factory=Counter)
    stamp_ns: int | None = None
    stamps_ns: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    usual_weights: Mapping[str, float] = field(default_factory=dict)
    contents: Mapping[str, float] = field(default_factory=dict)


class FusionWatch:
    """Follows predictions, and tells where router and sensors contradict each other.

    Predictions come from one thread, questions from another.
    """

    def __init__(self, modalities: Collection[str]) -> None:
        """Set up; modalities of the manifest, in its order."""
        self._modalities = tuple(modalities)
        self._lock = threading.Lock()
        self._served: Counter[str] = Counter()
        self._fusion = Fusion()
        self._usual: dict[str, float] = {}
        self._learnt_s = dict.fromkeys(self._modalities, 0.0)
        self._since_s: dict[tuple[str, str], float] = {}
        self._last_s: float | None = None

    @property
    def fusion(self) -> Fusion:
        """As of the last prediction."""
        with self._lock:
            return self._fusion

    def observe(self, prediction: Prediction, now_s: float) -> None:
        """Take in a prediction; `now_s` on a clock that never goes back."""
        weights = dict(
            zip(self._modalities, prediction.router_weights.mean(axis=0).tolist(), strict=True)
        )
        contents = {
            name: _content(name, prediction.rasters[name]) for name in sorted(prediction.present)
        }
        with self._lock:
            self._served.update(prediction.ages_ns.keys())
            elapsed_s = 0.0 if self._last_s is None else min(now_s - self._last_s, _SILENCE_S)
            self._last_s = now_s
            for name in self._modalities:
                if name not in prediction.present or len(prediction.present) == 1:
                    self._since_s.pop((name, 'ignored'), None)
                    self._since_s.pop((name, 'empty'), None)
                    continue
                self._judge(name, weights[name], contents[name], now_s, elapsed_s)
            self._fusion = Fusion(
                self._fusion.sets + 1,
                Counter(self._served),
                prediction.stamp_ns,
                {stream: prediction.stamp_ns - age for stream, age in prediction.ages_ns.items()},
                weights,
                dict(self._usual),
                contents,
            )

    def contradictions(
        self, now_s: float, suspect_after_s: float, healthy: Collection[str]
    ) -> list[str]:
        """Sensors that the router ignores without reason, or trusts without reason; one line each.

        Args:
            now_s: on the clock of `observe`.
            suspect_after_s: how long a contradiction lasts before it is told.
            healthy: modalities that nothing else is said of.
        """
        with self._lock:
            if self._last_s is None or now_s - self._last_s > _SILENCE_S:
                return []
            lasting = [
                key for key, since_s in self._since_s.items() if now_s - since_s >= suspect_after_s
            ]
            return [
                self._sentence(name, kind) for name, kind in sorted(lasting) if name in healthy
            ]

    def _judge(
        self, name: str, weight: float, content: float, now_s: float, elapsed_s: float
    ) -> None:
        usual = self._usual.get(name, weight)
        is_known = self._learnt_s[name] >= _KNOWN_AFTER_S and usual >= _LEAST_WEIGHT
        is_ignored = is_known and weight < _IGNORED_PART * usual
        least = _LEAST_CONTRAST if name == 'camera' else _LEAST_COVERAGE
        is_empty = content < least and weight >= _LEAST_WEIGHT
        for kind, is_so in (('ignored', is_ignored), ('empty', is_empty)):
            if is_so:
                self._since_s.setdefault((name, kind), now_s)
            else:
                self._since_s.pop((name, kind), None)
        if not (is_ignored or is_empty):  # what is wrong must not become usual
            self._learnt_s[name] += elapsed_s
            self._usual[name] = usual + (weight - usual) * min(elapsed_s / _LEARNT_OVER_S, 1.0)

    def _sentence(self, name: str, kind: str) -> str:
        weight, usual = self._fusion.weights[name], self._usual.get(name, 0.0)
        if kind == 'ignored':
            return (
                f'the router gives {name} {weight:.3f}, where {usual:.3f} was usual, although it '
                'seems sound: check its calibration and timing'
            )
        return (
            f'the router gives {name} {weight:.3f}, although its raster is empty or uniform: '
            'check whether it is covered, and its calibration'
        )


def _content(name: str, raster: np.ndarray) -> float:
    part = raster[::_STRIDE, ::_STRIDE]
    if name == 'camera':
        return float(part.astype(np.float32).mean(axis=2).std())
    return np.count_nonzero(part.any(axis=2)) / (part.shape[0] * part.shape[1])
