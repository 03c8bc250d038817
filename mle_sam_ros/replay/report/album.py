"""The moments of a drive that a report shows, chosen while the drive goes on."""

from collections import Counter
import math
from typing import NamedTuple

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.report.scene import Scene, scene_of, SMALL
from mle_sam_ros.replay.report.signs import Signs

_A_WHILE = 8  # frames
_SECOND_NS = 1_000_000_000
_MAX_SHARES = 32


class Album:
    """Keeps scenes of a drive whose length is not known beforehand.

    Its pictures do not grow with the drive: they are small and compressed at once, and of whole
    frames only the worst of the present second waits.

    Attributes:
        signs: of trouble, of every frame.
    """

    def __init__(self, manifest: Manifest, num_even: int = 6, num_worst: int = 6) -> None:
        """Start empty, to show so many evenly spaced scenes and at least so many of the worst."""
        self.signs = Signs(manifest.modality_names)
        self._even = EvenScenes(manifest, num_even)
        self._scored = WorstScenes(manifest, num_worst)
        self._unsure = WorstScenes(manifest, num_worst)

    def add(self, frame: Frame, miou: float) -> None:
        """Offer the next frame and its mIoU, which is NaN without ground truth."""
        self.signs.add(frame)
        self._even.add(frame, miou)
        if not math.isnan(miou):
            self._scored.add(frame, miou, miou)
        elif self._scored.is_empty:
            self._unsure.add(frame, miou, float(frame.confidence.mean()))

    @property
    def even(self) -> list[Scene]:
        """Evenly spaced scenes, and one for every set of sensors that lasted, by their stamps."""
        return self._even.scenes

    @property
    def worst(self) -> list[Scene]:
        """The worst frame first; of a drive without ground truth the least sure."""
        return self._unsure.scenes if self._scored.is_empty else self._scored.scenes


class EvenScenes:
    """Evenly spaced, and for every set of sensors that was present for a while one more."""

    def __init__(self, manifest: Manifest, num_scenes: int) -> None:
        self._manifest = manifest
        self._num_scenes = num_scenes
        self._kept: list[Scene] = []
        self._stride = 1
        self._num_seen = 0
        self._num_with: Counter[frozenset[str]] = Counter()
        self._example_of: dict[frozenset[str], Scene] = {}

    def add(self, frame: Frame, miou: float) -> None:
        """Offer the next frame."""
        if self._num_seen % self._stride == 0:
            self._kept.append(scene_of(frame, self._manifest, miou, SMALL))
        self._num_seen += 1
        if len(self._kept) == 2 * self._num_scenes:
            self._kept = self._kept[::2]
            self._stride *= 2
        self._num_with[frame.present] += 1
        if self._num_with[frame.present] == _A_WHILE:
            self._example_of[frame.present] = scene_of(frame, self._manifest, miou, SMALL)

    @property
    def scenes(self) -> list[Scene]:
        """In the order of their stamps."""
        count = min(self._num_scenes, len(self._kept))
        # Each from the middle of its share.
        even = [self._kept[(2 * i + 1) * len(self._kept) // (2 * count)] for i in range(count)]
        shown = {scene.present for scene in even}
        more = [scene for present, scene in self._example_of.items() if present not in shown]
        return sorted(even + more, key=lambda scene: scene.stamp_ns)


class Candidate(NamedTuple):
    """A scene that may be shown.

    Attributes:
        value: the lower, the worse.
        second: how many seconds with frames were before it.
        scene: of the frame.
    """

    value: float
    second: int
    scene: Scene


class WorstScenes:
    """The frames of lowest value, none within a second of another.

    Of each second on a fixed grid only the worst frame is a candidate. Beside the worst of all
    there is the worst of each of 16 to 32 shares of the drive, so that one long trouble does not
    hide a short one.
    """

    def __init__(self, manifest: Manifest, num_scenes: int) -> None:
        self._manifest = manifest
        self._second = 0
        self._num_seconds = 0
        self._share = 1  # seconds
        self._waiting: tuple[float, float, Frame] | None = None
        # Each scene shown keeps at most the candidates of the two seconds beside it away.
        self._num_worst = 3 * num_scenes - 2
        self._kept: list[Candidate] = []

    @property
    def is_empty(self) -> bool:
        """Whether no frame was offered."""
        return self._waiting is None

    def add(self, frame: Frame, miou: float, value: float) -> None:
        """Offer the next frame; the lower its value, the worse it is."""
        second = frame.stamp_ns // _SECOND_NS
        if self._waiting is not None and second != self._second:
            self._kept = self._with_waiting()
            self._waiting = None
            self._num_seconds += 1
            if self._num_seconds == _MAX_SHARES * self._share:
                self._share *= 2
        self._second = second
        if self._waiting is None or value < self._waiting[0]:
            self._waiting = (value, miou, frame)

    @property
    def scenes(self) -> list[Scene]:
        """The worst first; of equals the earlier."""
        chosen: list[Scene] = []
        for *_, scene in self._with_waiting():
            if all(abs(scene.stamp_ns - other.stamp_ns) >= _SECOND_NS for other in chosen):
                chosen.append(scene)
        return chosen

    def _with_waiting(self) -> list[Candidate]:
        """The candidates, the worst first."""
        if self._waiting is None:
            return self._kept
        value, miou, frame = self._waiting
        share = self._num_seconds // self._share
        worse = [candidate for candidate in self._kept if candidate.value <= value]
        is_beaten = any(candidate.second // self._share == share for candidate in worse)
        if is_beaten and len(worse) >= self._num_worst:
            return self._kept
        scene = scene_of(frame, self._manifest, miou)
        ranked = sorted([*self._kept, Candidate(value, self._num_seconds, scene)], key=_rank)
        worst_of = {each.second // self._share: each for each in reversed(ranked)}
        rest = ranked[self._num_worst :]
        return ranked[: self._num_worst] + [
            each for each in rest if worst_of[each.second // self._share] is each
        ]


def _rank(candidate: Candidate) -> tuple[float, int]:
    return candidate.value, candidate.scene.stamp_ns
