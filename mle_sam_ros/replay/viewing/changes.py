"""What is new in a frame, in words: sensors that fall away and come back, and what holds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.replay.score.conditions import Conditions


@dataclass(frozen=True)
class Change:
    """One line of a drive's log.

    Attributes:
        is_loss: whether something is missing from now on.
        text: what happened.
    """

    is_loss: bool
    text: str


@dataclass
class Changes:
    """Compares each frame with the one before; of the first, it tells what is missing."""

    modalities: tuple[str, ...]
    conditions: Conditions
    _absent: frozenset[str] = field(default=frozenset(), init=False)
    _faults: frozenset[str] = field(default=frozenset(), init=False)
    _holding: frozenset[str] = field(default=frozenset(), init=False)

    def since(self, prediction: Prediction) -> Iterator[Change]:
        """What is new: conditions, sensors in the manifest's order, faults."""
        holding = frozenset(self.conditions.at(prediction.stamp_ns))
        for name in sorted(holding ^ self._holding):
            yield Change(False, f'{name} begins' if name in holding else f'{name} is over')
        self._holding = holding
        absent = frozenset(self.modalities) - prediction.present
        for name in self.modalities:
            if name in absent - self._absent:
                reason = prediction.faults.get(name, '')
                yield Change(True, f'{name} absent' + (f': {reason}' if reason else ''))
            elif name in self._absent - absent:
                yield Change(False, f'{name} back')
        self._absent = absent
        faults = frozenset(text for name, text in prediction.faults.items() if name not in absent)
        for text in sorted(faults - self._faults):
            yield Change(True, text)
        self._faults = faults
