"""What a node published, read back from a recording of its topics."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.track import Track
from mle_sam_ros.core.image import decode_label_image
from mle_sam_ros.core.trust import present_of, router_weights_of
from mle_sam_ros.replay.viewing.annotated import CONFIDENCE_TOPIC, MASK_TOPIC, ROUTER_WEIGHTS_TOPIC
import numpy as np

Statuses = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, eq=False)
class RecordedMask:
    """One mask that a node published.

    Attributes:
        log_time_ns: when the recorder got it.
        label_map: (H, W) uint8 class ids.
        confidence: (H, W) uint8.
        statuses: of `core.trust.trust_statuses`.
    """

    log_time_ns: int
    label_map: np.ndarray
    confidence: np.ndarray
    statuses: Statuses

    @property
    def router_weights(self) -> np.ndarray:
        """(levels, M) float32."""
        return router_weights_of(self.statuses)

    @property
    def present(self) -> frozenset[str]:
        """The modalities that the mask was made from."""
        return present_of(self.statuses)

    @property
    def timings_ms(self) -> dict[str, float]:
        """Milliseconds by stage."""
        return {stage: float(text) for stage, text in self.statuses.get('timings', {}).items()}

    @property
    def ages_ms(self) -> dict[str, float]:
        """By modality that took part, how much older than the instant its sample was."""
        sensors = self.statuses.get('sensors', {})
        ages = {name: sensors.get(f'{name}/age_ms') for name in sorted(self.present)}
        return {name: float(text) for name, text in ages.items() if text is not None}


class Recording:
    """The masks of a recording by their stamps; use it in a `with` block."""

    def __init__(self, path: Path) -> None:
        """Open the recording.

        Raises:
            InputError: for a recording without mask, confidence and router weights.
        """
        with ExitStack() as stack:
            self._masks, self._confidences, self._weights = (
                Track(stack.enter_context(open_bag(path)), topic)
                for topic in (MASK_TOPIC, CONFIDENCE_TOPIC, ROUTER_WEIGHTS_TOPIC)
            )
            self._stack = stack.pop_all()

    def at(self, stamp_ns: int) -> RecordedMask | None:
        """What was published for this stamp; None where any part of it is missing."""
        mask, confidence, weights = (
            track.at(stamp_ns) for track in (self._masks, self._confidences, self._weights)
        )
        if mask is None or confidence is None or weights is None:
            return None
        return RecordedMask(
            mask.log_time_ns,
            decode_label_image(mask.message, MASK_TOPIC),
            decode_label_image(confidence.message, CONFIDENCE_TOPIC),
            _statuses(weights.message),
        )

    def count(self) -> int:
        """How many masks there are; `at` finds none afterwards."""
        return self._masks.count()

    def count_unused(self) -> int:
        """Masks that were never asked for; `at` finds none afterwards."""
        return self._masks.count() - self._masks.num_used

    def __enter__(self) -> 'Recording':
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _statuses(message: Any) -> Statuses:
    return {
        status.name: {item.key: item.value for item in status.values} for status in message.status
    }
