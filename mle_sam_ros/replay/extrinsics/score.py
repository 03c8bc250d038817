"""How well a sensor's edges fall on the edges of the image, for its extrinsic and for others."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
from mle_sam_ros.core.camera import CameraModel
import numpy as np

_NEAREST_M = 0.5


@dataclass(frozen=True, eq=False)
class EdgeMatch:
    """The edges of one moment, ready to be compared under any extrinsic.

    Attributes:
        nearness: (H, W) float32 of `edge_nearness`.
        edges: (K, 3) float64 points of the sensor's edges, metres, in its frame.
        weights: (K,) of the edges.
        all_points: (N, 3) float64 points of everything that the sensor saw: what the edges are
            compared with, so that a shift towards a busy part of the image wins nothing.
    """

    nearness: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    all_points: np.ndarray

    def score(self, camera: CameraModel, camera_from_sensor: np.ndarray) -> float:
        """How much nearer to image edges the sensor's edges are than what it sees at large.

        In standard deviations of the nearness; NaN where too few edges are in the image.
        """
        edges, weights = self._sampled(camera, camera_from_sensor, self.edges, self.weights)
        ones = np.ones(len(self.all_points))
        others, _ = self._sampled(camera, camera_from_sensor, self.all_points, ones)
        if len(edges) < 50 or len(others) < 50:
            return np.nan
        return float(np.average(edges, weights=weights) - others.mean())

    def _sampled(
        self,
        camera: CameraModel,
        camera_from_sensor: np.ndarray,
        points: np.ndarray,
        weights: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        points = points @ camera_from_sensor[:3, :3].T + camera_from_sensor[:3, 3]
        kept = camera.covers(points) & (points[:, 2] > _NEAREST_M)
        u, v = np.floor(camera.project(points[kept]) + 0.5).astype(np.int64).T
        height, width = camera.size_hw
        inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        return self.nearness[v[inside], u[inside]], weights[kept][inside]


@dataclass(frozen=True)
class Shift:
    """A small change of an extrinsic, about or along an axis of the camera's optical frame.

    Attributes:
        axis: `pitch` (about x), `yaw` (about y), `roll` (about z), `x`, `y` or `z`.
        amount: degrees of a rotation, metres of a distance.
    """

    axis: str
    amount: float

    def __str__(self) -> str:
        if self.axis in _ROTATIONS:
            return f'{self.axis} {self.amount:+.2f} deg'
        return f'{self.axis} {self.amount:+.2f} m'

    def matrix(self) -> np.ndarray:
        """(4, 4), to be multiplied from the left with `camera_from_sensor`."""
        matrix = np.eye(4)
        if self.axis in _ROTATIONS:
            vector = np.eye(3)[_ROTATIONS.index(self.axis)] * np.deg2rad(self.amount)
            matrix[:3, :3] = cv2.Rodrigues(vector)[0]
        else:
            matrix['xyz'.index(self.axis), 3] = self.amount
        return matrix


_ROTATIONS = ('pitch', 'yaw', 'roll')
# Of the score as it is; less hardly matters. Distances also make up for times that are some
# milliseconds off.
_LEAST_GAIN_OF_TURN, _LEAST_GAIN_OF_DISTANCE = 0.02, 0.05
# What glare does is no chance, and moments do not average it out: a bright sky eats into what
# stands before it, from above. In five simulated drives, three of them over-exposed, the right
# extrinsics could gain up to 0.09 so; half a degree of yaw lost 0.12 and more.
_CLEAR_GAIN = 0.1
# Below so many standard deviations edges hardly meet at all.
_LEAST_SCORE = 0.2
_MAX_CORRECTIONS = 5
_DEGREES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
_METRES = (0.05, 0.1, 0.2, 0.4)


def shifts(has_distance: bool) -> list[Shift]:
    """Every change that is tried; distances only where the sensor measures them."""
    rotations = [
        Shift(axis, sign * amount)
        for axis in _ROTATIONS
        for amount in _DEGREES
        for sign in (-1, 1)
    ]
    distances = [
        Shift(axis, sign * amount) for axis in 'xyz' for amount in _METRES for sign in (-1, 1)
    ]
    return rotations + (distances if has_distance else [])


@dataclass(frozen=True)
class ShiftScore:
    """What one change does to the score.

    Attributes:
        shift: the change.
        gain: mean over the moments of the changed score minus the given one.
        error: standard error of that mean.
        share_better: of the moments, in which the change scores better.
    """

    shift: Shift
    gain: float
    error: float
    share_better: float


@dataclass(frozen=True)
class ExtrinsicScore:
    """What the edges of several moments say of an extrinsic.

    Attributes:
        given: mean score of the extrinsic as it is; above 0 edges meet more than by chance.
        num_moments: that had edges enough.
        shifted: of every change.
        correction: changes that lead to where none is better, each to be applied after the one
            before it; empty where none is to begin with.
        corrected: mean score there.
    """

    given: float
    num_moments: int
    shifted: tuple[ShiftScore, ...]
    correction: tuple[Shift, ...] = ()
    corrected: float = np.nan

    @property
    def better(self) -> list[ShiftScore]:
        """Changes that gain more than chance, and than what hardly matters; best first."""
        better = [item for item in self.shifted if self._is_better(item)]
        return sorted(better, key=lambda item: -item.gain)

    @property
    def verdict(self) -> Literal['fits', 'wrong', 'unclear']:
        """Wrong where a change gains more than glare could; unclear where it may be glare."""
        least = max(_CLEAR_GAIN * self.given, _LEAST_SCORE - self.given)
        if any(item.gain > least for item in self.better):
            return 'wrong'
        return 'unclear' if self.better or self.given < _LEAST_SCORE else 'fits'

    def _is_better(self, item: ShiftScore) -> bool:
        is_turn = item.shift.axis in _ROTATIONS
        least = self.given * (_LEAST_GAIN_OF_TURN if is_turn else _LEAST_GAIN_OF_DISTANCE)
        return item.gain > max(3 * item.error, least) and item.share_better > 0.5

    @property
    def num_worse(self) -> int:
        """How many changes score less than the extrinsic as it is."""
        return sum(item.gain < 0 for item in self.shifted)


def score_extrinsic(
    matches: list[EdgeMatch],
    camera: CameraModel,
    camera_from_sensor: np.ndarray,
    has_distance: bool,
) -> ExtrinsicScore | None:
    """Compare an extrinsic with others near it, and look for a better one.

    Args:
        matches: of several moments.
        camera: at the size of their images.
        camera_from_sensor: (4, 4) float64, the extrinsic as it is.
        has_distance: whether the sensor measures distances, so that distances count.

    Returns:
        None where no moment has edges enough.
    """
    first = _score_shifts(matches, camera, camera_from_sensor, has_distance)
    latest = first
    correction: list[Shift] = []
    while latest is not None and latest.better and len(correction) < _MAX_CORRECTIONS:
        correction.append(latest.better[0].shift)
        camera_from_sensor = correction[-1].matrix() @ camera_from_sensor
        latest = _score_shifts(matches, camera, camera_from_sensor, has_distance)
    if first is None or latest is None:
        return first
    return replace(first, correction=tuple(correction), corrected=latest.given)


def _score_shifts(
    matches: list[EdgeMatch],
    camera: CameraModel,
    camera_from_sensor: np.ndarray,
    has_distance: bool,
) -> ExtrinsicScore | None:
    given = np.array([match.score(camera, camera_from_sensor) for match in matches])
    usable = np.flatnonzero(np.isfinite(given))
    if not len(usable):
        return None
    given = given[usable]
    shifted = []
    for shift in shifts(has_distance):
        changed = shift.matrix() @ camera_from_sensor
        gains = np.array([matches[i].score(camera, changed) for i in usable]) - given
        gains = np.nan_to_num(gains, nan=-1.0)  # shifted out of the image
        error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 1 else np.inf
        shifted.append(ShiftScore(shift, float(gains.mean()), error, float((gains > 0).mean())))
    return ExtrinsicScore(float(given.mean()), len(usable), tuple(shifted))
