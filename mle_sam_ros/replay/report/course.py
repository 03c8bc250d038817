"""What happened over time, as shapes to draw and as numbers to point at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.plain_name import plain_name
from mle_sam_ros.replay.report import charts
from mle_sam_ros.replay.report.causes import noted_text
from mle_sam_ros.replay.report.signs import Sign
from mle_sam_ros.replay.report.wording import score_name
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np


@dataclass(frozen=True)
class Lane:
    """Something that comes and goes.

    Attributes:
        name: of it.
        kind: `sensor` (shown where it was there), `sign`, or a kind of the timeline.
        spans: (from, to), seconds.
    """

    name: str
    kind: str
    spans: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Band:
    """A stretch of time behind the plots.

    Attributes:
        kind: `absent` (a sensor), or the lane's.
        text: what it is.
        from_s: its beginning, seconds.
        to_s: its end.
        row: of its words, so that they stand not on those of another.
    """

    kind: str
    text: str
    from_s: float
    to_s: float
    row: int


@dataclass(frozen=True)
class Curve:
    """A value over time.

    Attributes:
        name: of the value.
        unit: `%` or `ms`.
        times_s: (T,).
        values: (T,), NaN where there is none.
        top: at the top of the plot; 0 is at the bottom.
    """

    name: str
    unit: str
    times_s: np.ndarray
    values: np.ndarray
    top: float

    def lines(self, axis: charts.Axis) -> list[str]:
        """Points of polylines."""
        return charts.line(axis, self.times_s, self.values, self.top)

    def to_mapping(self) -> dict[str, Any]:
        """For the page's script: what to say when somebody points at it."""
        return {
            'name': self.name,
            'unit': self.unit,
            'times': _numbers(self.times_s, 3),
            'values': _numbers(self.values, 1),
        }


class Course:
    """A drive over time.

    Attributes:
        axis: of all plots.
        lanes: what came and went.
        quality: frame mIoU; without any ground truth, confidence.
        latency: of each frame.
        trust: by level, by modality: the points of an area.
    """

    def __init__(
        self,
        manifest: Manifest,
        moments: Sequence[Moment],
        confidences: np.ndarray,
        timeline: Sequence[Mapping[str, Any]],
        signs: Sequence[Sign],
        start_ns: int,
    ) -> None:
        """Prepare the plots of at least one moment.

        Args:
            manifest: of the bundle.
            moments: T of them, in order.
            confidences: (T,) mean confidence of each frame, 0 to 1.
            timeline: of `metrics.json`.
            signs: measured in the same frames.
            start_ns: stamp that counts as 0 s.
        """
        times_s = np.array([item.stamp_ns - start_ns for item in moments]) / 1e9
        self.axis = charts.axis_of(times_s)
        self._last_s = float(times_s.max())
        self.lanes = [
            Lane(
                name,
                'sensor',
                charts.spans(self.axis, times_s, [name in item.present for item in moments]),
            )
            for name in manifest.modality_names
        ]
        self.lanes += _noted_lanes(timeline)
        self.lanes += [
            Lane(sign.text, 'sign', charts.spans(self.axis, times_s, sign.holds.tolist()))
            for sign in signs
        ]
        miou = 100 * np.array([item.miou for item in moments])
        is_scored = not np.isnan(miou).all()
        self.quality = _curve(
            score_name(is_scored),
            '%',
            times_s,
            miou if is_scored else 100 * confidences,
            100.0,
        )
        latency_ms = np.array([item.latency_ms for item in moments])
        top_ms = charts.round_top(float(np.percentile(latency_ms, 99)))
        self.latency = _curve('latency', 'ms', times_s, latency_ms, top_ms, highest=True)
        few = charts.thinned(len(moments))
        weights = np.stack([moments[i].router_weights for i in few])
        self.trust = [
            charts.stacked_areas(self.axis, times_s[few], level)
            for level in weights.transpose(1, 0, 2)
        ]
        self._trust_curves = [
            Curve(name, '%', times_s[few], 100 * weights[:, :, index].mean(axis=1), 100.0)
            for index, name in enumerate(manifest.modality_names)
        ]

    def bands(self) -> list[Band]:
        """What is to be seen behind every plot.

        A sensor's absence, what was noted, injected or measured; not what holds all the time.
        """
        bands: list[Band] = []
        for lane in self.lanes:
            is_sensor = lane.kind == 'sensor'
            kind = 'absent' if is_sensor else lane.kind
            text = f'{lane.name} absent' if is_sensor else plain_name(lane.name)
            for from_s, to_s in self._gaps(lane) if is_sensor else lane.spans:
                is_in = to_s > self.axis.from_s and from_s < self.axis.to_s
                is_whole = from_s <= self.axis.from_s and to_s >= self._last_s
                if is_in and not is_whole:
                    row = sum(band.from_s < to_s and from_s < band.to_s for band in bands)
                    bands.append(Band(kind, text, from_s, to_s, row))
        return bands

    def to_mapping(self) -> dict[str, Any]:
        """For the page's script."""
        return {
            'from': round(self.axis.from_s, 3),
            'to': round(self.axis.to_s, 3),
            'plots': {
                'quality': [self.quality.to_mapping()],
                'latency': [self.latency.to_mapping()],
                'trust': [curve.to_mapping() for curve in self._trust_curves],
            },
            'notes': [
                {'text': band.text, 'from': round(band.from_s, 3), 'to': round(band.to_s, 3)}
                for band in self.bands()
            ],
        }

    def _gaps(self, lane: Lane) -> Iterator[tuple[float, float]]:
        """When it was not there."""
        last = self.axis.from_s
        for from_s, to_s in lane.spans:
            if from_s > last:
                yield last, from_s
            last = to_s
        if last < self.axis.to_s:
            yield last, self.axis.to_s


def _noted_lanes(timeline: Sequence[Mapping[str, Any]]) -> list[Lane]:
    spans_of: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for entry in timeline:
        if noted_text(entry) or entry['kind'] == 'no_mask':
            key = (entry['kind'], str(entry['name']))
            spans_of.setdefault(key, []).append((entry['from_s'], entry['to_s']))
    return [Lane(name, kind, spans) for (kind, name), spans in spans_of.items()]


def _curve(
    name: str,
    unit: str,
    times_s: np.ndarray,
    values: np.ndarray,
    top: float,
    *,
    highest: bool = False,
) -> Curve:
    """Of many samples the lowest of each part, or the highest."""
    few = charts.lowest(-values if highest else values)
    return Curve(name, unit, times_s[few], values[few], top)


def _numbers(values: np.ndarray, digits: int) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), digits) for value in values]
