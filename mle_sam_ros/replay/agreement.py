"""Whether the node, over DDS, and the replay say the same of the same instants."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.replay.recording import Recording
from mle_sam_ros.replay.viewing.annotated import MASK_TOPIC
import numpy as np


class Agreement:
    """Counts how often two masks of one instant are the same, bit for bit."""

    def __init__(self) -> None:
        self._num_compared = 0
        self._num_identical = 0
        self._num_same_inputs = 0
        self._num_same_inputs_identical = 0
        self._equal_pixels = 0.0

    def add(
        self,
        one: np.ndarray,
        other: np.ndarray,
        sensors_of_one: Mapping[str, str],
        sensors_of_other: Mapping[str, str],
    ) -> None:
        """Compare two masks.

        Args:
            one: (H, W) uint8 class ids.
            other: (H, W) uint8 class ids of the same instant.
            sensors_of_one: status `sensors` of `core.trust.trust_statuses`; the inputs are the
                same where presence, ages and coverage of all sensors are.
            sensors_of_other: likewise.
        """
        is_identical = np.array_equal(one, other)
        has_same_inputs = dict(sensors_of_one) == dict(sensors_of_other)
        self._num_compared += 1
        self._num_identical += is_identical
        self._num_same_inputs += has_same_inputs
        self._num_same_inputs_identical += has_same_inputs and is_identical
        if one.shape == other.shape:
            self._equal_pixels += float(np.mean(one == other))

    def to_mapping(self) -> dict[str, Any]:
        """Counts and fractions; a fraction of nothing is None."""
        return {
            'frames_compared': self._num_compared,
            'identical': _fraction(self._num_identical, self._num_compared),
            'pixels_equal': _fraction(self._equal_pixels, self._num_compared),
            'frames_with_same_inputs': self._num_same_inputs,
            'identical_with_same_inputs': _fraction(
                self._num_same_inputs_identical, self._num_same_inputs
            ),
        }


def compare_masks(recorded: Path, annotated: Path) -> dict[str, Any]:
    """Compare what a node published with what the replay of the same drive wrote.

    Args:
        recorded: recording of the node's mask, confidence and router weights.
        annotated: `annotated.mcap` of the replay.

    Returns:
        `Agreement.to_mapping()` over the frames that both have.

    Raises:
        InputError: for recordings that cannot be read or lack these topics.
    """
    agreement = Agreement()
    with Recording(recorded) as node, Recording(annotated) as replay, open_bag(recorded) as bag:
        for item in bag.messages([MASK_TOPIC]):
            time_ns = stamp_ns(item.message.header)
            one, other = node.at(time_ns), replay.at(time_ns)
            if one is not None and other is not None:
                agreement.add(
                    one.label_map,
                    other.label_map,
                    one.statuses.get('sensors', {}),
                    other.statuses.get('sensors', {}),
                )
    return agreement.to_mapping()


def _fraction(part: float, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
