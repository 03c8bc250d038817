"""Whether the node keeps up with its camera, judged by the account of frames."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from mle_sam_ros.core.health import CLOCK_REASONS, Escalation, Health, Level

# A camera whose frames are superseded more often than this is not kept up with.
_MAX_SUPERSEDED = 0.05
_WINDOW_S = 10.0


class FrameJudge:
    """Judges rejections by the last report, and the pace by the last ten seconds."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, Counter[str]]] = deque()
        self._escalation = Escalation()
        self.rate_hz = 0.0

    def judge(
        self, frames: Mapping[str, Any], capacity_hz: float, now_s: float, error_after_s: float
    ) -> Health:
        """The state of the frames, and how grave it is.

        A node that does not keep up still segments the newest frame, so that stays a warning.

        Args:
            frames: `FrameAccount.to_mapping()`.
            capacity_hz: frames per second that the node could take; 0 where unknown.
            now_s: on a clock that never goes back.
            error_after_s: rejections that go on for so long are an error.
        """
        now = Counter(frames['rejected'])
        now.update(received=frames['received'], superseded=frames['superseded'])
        last = self._history[-1][1] if self._history else Counter()
        self._history.append((now_s, now))
        while self._history[0][0] < now_s - _WINDOW_S:
            self._history.popleft()
        since_s, before = self._history[0]
        new = now - before
        self.rate_hz = new['received'] / (now_s - since_s) if now_s > since_s else 0.0
        rejected = {reason: (now - last)[reason] for reason in frames['rejected']}
        rejected = {reason: count for reason, count in rejected.items() if count}
        level = self._escalation.level(not rejected, now_s, error_after_s)
        if rejected:
            return Health(level, 'rejected', _rejections(rejected))
        if not new['received']:
            return Health(Level.WARN, 'no_frames', 'no camera frames of late')
        capacity = f'could take {capacity_hz:.0f} Hz'
        if new['superseded'] > max(1, _MAX_SUPERSEDED * new['received']):
            return Health(
                Level.WARN,
                'superseded',
                f'does not keep up with {self.rate_hz:.1f} Hz: {new["superseded"]} of the last '
                f'{new["received"]} frames were superseded; {capacity}',
            )
        return Health(Level.OK, 'ok', f'keeps up with {self.rate_hz:.1f} Hz; {capacity}')


def _rejections(rejected: Mapping[str, int]) -> str:
    reasons = ', '.join(f'{reason} {count}' for reason, count in rejected.items())
    remedy = ''
    if CLOCK_REASONS & rejected.keys():
        remedy = (
            '; stamps and node need one clock: set use_sim_time for recordings, else time sync'
        )
    return f'camera frames rejected of late: {reasons}{remedy}'
