"""Stretches of a drive in which the masks stay bad: what lasts is one trouble, not many frames."""

from collections.abc import Sequence
from dataclasses import dataclass

from mle_sam_ros.replay.report.causes import causes_in, Finding, MIN_DROP
import numpy as np

# A shorter recovery does not end it.
_RECOVERY_S = 1.0


@dataclass(frozen=True)
class Episode:
    """A stretch of a drive around a bad frame.

    Attributes:
        first: index of its first frame in the drive.
        last: of its last.
        frames: indices of the frames that are shown of it, the worst first.
        cause: text of the worst frame's probable cause; empty where none was found.
    """

    first: int
    last: int
    frames: tuple[int, ...]
    cause: str

    def touches(self, other: 'Episode') -> bool:
        """Whether both are the same trouble: of one cause, and not apart."""
        is_apart = self.last < other.first or other.last < self.first
        return self.cause == other.cause and not is_apart


def find_episodes(
    frames: Sequence[int],
    scores: np.ndarray,
    times_s: np.ndarray,
    findings: Sequence[Finding],
) -> list[Episode]:
    """Episodes that bad frames are in.

    An episode reaches as far around its frame as scores stay in the lower half between that of
    this frame and the drive's mean, and, where the frame has a probable cause, this holds; not
    into those of worse frames with another cause. Those of one cause that touch are one. Of frames
    less than two points below the mean only the worst has an episode.

    Args:
        frames: indices of the frames in the drive, the worst first.
        scores: (T,) of all frames, NaN where unknown; of those frames they are known.
        times_s: (T,) of all frames.
        findings: of the drive.

    Returns:
        The one with the worst frame first.
    """
    episodes: list[Episode] = []
    for index in frames:
        if not episodes or scores[index] < np.nanmean(scores) - MIN_DROP:
            episode = _around(index, scores, times_s, findings, episodes)
            same = [other for other in episodes if other.touches(episode)]
            episodes = [other for other in episodes if other not in same]
            episodes.append(_joined([*same, episode], frames))
    return sorted(episodes, key=lambda episode: frames.index(episode.frames[0]))


def _around(
    index: int,
    scores: np.ndarray,
    times_s: np.ndarray,
    findings: Sequence[Finding],
    worse: Sequence[Episode],
) -> Episode:
    is_bad = scores <= (scores[index] + np.nanmean(scores)) / 2
    causes = causes_in(findings, index)
    cause = causes[0].text if causes else ''
    if causes:
        is_bad &= causes[0].holds
    for other in worse:
        if other.cause != cause:
            is_bad[other.first : other.last + 1] = False
    is_bad[index] = True  # whatever rounding does to equal scores
    bad = np.flatnonzero(is_bad)
    # A frame of unknown score is no recovery.
    num_known = np.cumsum(~np.isnan(scores))
    is_break = (np.diff(num_known[bad]) > 1) & (np.diff(times_s[bad]) > _RECOVERY_S)
    stretches = np.split(bad, np.flatnonzero(is_break) + 1)
    stretch = next(item for item in stretches if index in item)
    return Episode(int(stretch[0]), int(stretch[-1]), (index,), cause)


def _joined(episodes: Sequence[Episode], frames: Sequence[int]) -> Episode:
    """One of several of the same cause."""
    shown = [index for episode in episodes for index in episode.frames]
    return Episode(
        min(episode.first for episode in episodes),
        max(episode.last for episode in episodes),
        tuple(sorted(shown, key=frames.index)),
        episodes[0].cause,
    )
