"""What became of everything that arrived."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FrameAccount:
    """Where every camera frame is: waiting, emitted, superseded or rejected; nowhere twice.

    A frame is `waiting` from its receipt until exactly one of the other three takes it, so the
    account balances after every step.

    Attributes:
        received: camera frames that arrived.
        emitted: frames whose sensor set was handed on.
        superseded: frames that gave way to a newer one.
        rejected: reason (snake_case) to number of frames.
        waiting: frames received and not decided yet.
        without_camera: sensor sets emitted while the camera was silent; they are not frames.
        clock_jumps: how often time went back and everything started anew.
    """

    received: int = 0
    emitted: int = 0
    superseded: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    waiting: int = 0
    without_camera: int = 0
    clock_jumps: int = 0

    def receive(self) -> None:
        """A frame arrived and waits."""
        self.received += 1
        self.waiting += 1

    def emit(self) -> None:
        """A waiting frame was handed on."""
        self.waiting -= 1
        self.emitted += 1

    def supersede(self) -> None:
        """A waiting frame gave way to a newer one."""
        self.waiting -= 1
        self.superseded += 1

    def reject(self, reason: str) -> None:
        """A waiting frame was refused."""
        self.waiting -= 1
        self.rejected[reason] += 1

    def reject_arrival(self, reason: str) -> None:
        """A frame arrived that could not even be stamped and queued."""
        self.receive()
        self.reject(reason)

    def supersede_emitted(self, *, has_frame: bool = True) -> None:
        """A set handed on gave way to a newer one before it was run.

        Args:
            has_frame: whether the set holds a camera frame; one without leaves `without_camera`.
        """
        self._take_back(has_frame)
        self.superseded += has_frame

    def reject_emitted(self, reason: str, *, has_frame: bool = True) -> None:
        """A set handed on could not be decoded or run; `has_frame` as in `supersede_emitted`."""
        self._take_back(has_frame)
        if has_frame:
            self.rejected[reason] += 1

    def _take_back(self, has_frame: bool) -> None:
        if has_frame:
            self.emitted -= 1
        else:
            self.without_camera -= 1

    @property
    def num_rejected(self) -> int:
        """Frames rejected, whatever the reason."""
        return sum(self.rejected.values())

    @property
    def balanced(self) -> bool:
        """Whether the parts add up to what was received."""
        decided = self.emitted + self.superseded + self.num_rejected
        return self.received == decided + self.waiting and self.waiting >= 0

    def to_mapping(self) -> dict[str, Any]:
        """Plain numbers for reports and diagnostics; `rejected` by reason."""
        return {**vars(self), 'rejected': dict(self.rejected)}


@dataclass
class StreamAccount:
    """What became of the samples of a stream other than the camera.

    Attributes:
        received: samples that arrived.
        refused: number by reason (`no_stamp`, `too_old`, `in_future`, `duplicate`,
            `out_of_order`).
        evicted: samples dropped before their time because `buffer_bytes` was reached.
        clock_jumps: how often the stream's stamps went back and its buffer started anew.
    """

    received: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    evicted: int = 0
    clock_jumps: int = 0

    def to_mapping(self) -> dict[str, Any]:
        """Plain numbers for reports and diagnostics; `refused` by reason."""
        return {**vars(self), 'refused': dict(self.refused)}
