"""Why a frame is bad: facts that hold in it, and what frames with the same fact score."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mle_sam_ros.replay.plain_name import plain_name
from mle_sam_ros.replay.report.signs import Sign
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np

# Less than this between frames with and without a fact explains nothing.
MIN_DROP = 0.02
_ABOUT = 2 / 3
_NOTED = ('failure', 'injected')


@dataclass(frozen=True, eq=False)
class Finding:
    """A fact about some frames of a drive, and how these frames compare with the others.

    Attributes:
        text: of the fact.
        holds: (T,) bool, in which frames.
        score_with: mean score of frames in which it alone holds, or, of a fact that seldom comes
            alone, of all in which it holds; NaN without scored ones.
        score_without: of frames in which no fact holds, or, where they are few, of those in which
            this one does not.
        values: (T,) float, its strength where it was measured; None where it was noted.
        unit: of the values.
        is_noted: whether somebody noted or injected it.
    """

    text: str
    holds: np.ndarray
    score_with: float
    score_without: float
    values: np.ndarray | None = None
    unit: str = ''
    is_noted: bool = False

    @property
    def drop(self) -> float:
        """What the score loses where the fact holds; NaN where nothing compares."""
        return self.score_without - self.score_with

    @property
    def is_cause(self) -> bool:
        """Whether the score drops with it beyond what may be chance."""
        return self.drop >= MIN_DROP

    def around(self, index: int) -> tuple[int, int]:
        """First and last of the frames around one in which it holds without a break."""
        others = np.flatnonzero(~self.holds)
        place = int(np.searchsorted(others, index))
        first = int(others[place - 1]) + 1 if place else 0
        last = int(others[place]) - 1 if place < len(others) else len(self.holds) - 1
        return first, last

    def in_frame(self, index: int) -> str:
        """The fact with its strength in one frame."""
        if self.values is None or np.isnan(self.values[index]):
            return self.text
        return f'{self.text} ({self.values[index]:.3g} {self.unit})'


def find_causes(
    moments: Sequence[Moment],
    scores: np.ndarray,
    signs: Collection[Sign],
    timeline: Sequence[Mapping[str, Any]],
    start_ns: int,
    modalities: Sequence[str],
) -> list[Finding]:
    """Facts that may explain bad frames, those that cost most first.

    Only what the data says is a fact: a sensor that took no part, an entry of the timeline, a
    measured sign. It is a cause where frames in which it holds score less than those in which
    nothing does.

    Args:
        moments: of the drive, T of them.
        scores: (T,) of each frame, NaN where unknown.
        signs: measured in the same frames.
        timeline: `timeline` of `metrics.json`.
        start_ns: stamp that counts as 0 s there.
        modalities: of the bundle.
    """
    facts = [*_absences(moments, modalities), *_noted(moments, timeline, start_ns), *signs]
    facts = [fact for fact in facts if fact.holds.any()]
    num_facts = np.zeros(len(moments), int)
    for fact in facts:
        num_facts += fact.holds & ~fact.holds.all()  # what always holds sets no frame apart
    findings = [_compared(fact, scores, num_facts) for fact in facts]
    return sorted(findings, key=lambda finding: -np.nan_to_num(finding.drop, nan=-1.0))


def causes_in(findings: Sequence[Finding], index: int) -> list[Finding]:
    """Of one frame, what costs most first.

    What was noted or injected comes before what costs about as much: an injected exposure is the
    cause of an over-exposed image, not the other way round.
    """
    causes = [finding for finding in findings if finding.holds[index] and finding.is_cause]
    least = _ABOUT * causes[0].drop if causes else 0.0
    return sorted(causes, key=lambda cause: not (cause.is_noted and cause.drop >= least))


def _absences(moments: Sequence[Moment], modalities: Sequence[str]) -> Iterator[Sign]:
    for name in modalities:
        yield Sign(f'{name} absent', np.array([name not in item.present for item in moments]))


def _noted(
    moments: Sequence[Moment], timeline: Sequence[Mapping[str, Any]], start_ns: int
) -> Iterator[Sign]:
    times_s = np.array([item.stamp_ns - start_ns for item in moments]) / 1e9
    holds_of: dict[str, np.ndarray] = {}
    noted = {noted_text(entry) for entry in timeline if entry['kind'] in _NOTED}
    for entry in timeline:
        text = noted_text(entry)
        if text:
            holds_of[text] = holds_of.get(text, False) | covered(entry, times_s)
    for text, holds in holds_of.items():
        yield Sign(text, holds, is_noted=text in noted)


def covered(entry: Mapping[str, Any], times_s: np.ndarray) -> np.ndarray:
    """(T,) bool, which times of a drive's frames an entry of its timeline covers.

    Entries are rounded to microseconds; their ends are not part of them, but for the drive's own.
    """
    is_open = entry['to_s'] >= times_s.max() - 1e-6
    return (times_s >= entry['from_s'] - 1e-6) & ((times_s < entry['to_s'] - 1e-6) | is_open)


def noted_text(entry: Mapping[str, Any]) -> str:
    """A timeline entry in words; empty for what the frames tell themselves."""
    name = plain_name(str(entry['name']))
    return {
        'failure': f'{name} (noted in the recording)',
        'injected': f'{name} (injected)',
        'condition': f'condition {name}',
    }.get(entry['kind'], '')


def _compared(fact: Sign, scores: np.ndarray, num_facts: np.ndarray) -> Finding:
    return Finding(
        fact.text,
        fact.holds,
        _mean(scores, fact.holds & (num_facts == 1), fact.holds),
        _mean(scores, ~fact.holds & (num_facts == 0), ~fact.holds),
        fact.values,
        fact.unit,
        fact.is_noted,
    )


def _mean(scores: np.ndarray, choice: np.ndarray, fallback: np.ndarray) -> float:
    """Mean over the choice of frames, or, where it is few of them, over the fallback.

    NaN where none has a score.
    """
    is_known = ~np.isnan(scores)
    is_few = 3 * np.count_nonzero(choice & is_known) < np.count_nonzero(fallback & is_known)
    known = scores[(fallback if is_few else choice) & is_known]
    return float(known.mean()) if len(known) else np.nan
