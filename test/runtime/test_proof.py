"""The bars of the proof."""

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.runtime.golden import Golden, GoldenAnswer
from mle_sam_ros.runtime.proof import compare
import numpy as np
import pytest

LABELS = np.zeros((100, 100), np.uint8)
CONFIDENCE = np.full((100, 100), 200, np.uint8)
WEIGHTS = np.array([[0.25, 0.75]], np.float32)
GOLDEN = Golden({}, (GoldenAnswer(('camera',), LABELS, CONFIDENCE, WEIGHTS),))


class Answer:
    """An engine that always says the same."""

    def __init__(self, label_map=LABELS, confidence=CONFIDENCE, router_weights=WEIGHTS):
        self._inference = Inference(label_map, confidence, router_weights, {})

    def infer(self, rasters, present):
        return self._inference


def with_first(array: np.ndarray, count: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed.reshape(-1)[:count] = value
    return changed


@pytest.mark.parametrize(
    ('answer', 'holds'),
    [
        (Answer(), True),
        (Answer(label_map=with_first(LABELS, 10, 3)), True),
        (Answer(label_map=with_first(LABELS, 11, 3)), False),
        (Answer(confidence=CONFIDENCE + 3), True),
        (Answer(confidence=CONFIDENCE - 4), False),
        (Answer(confidence=with_first(CONFIDENCE, 9, 0)), True),
        (Answer(confidence=with_first(CONFIDENCE, 12, 0)), False),
        (Answer(router_weights=WEIGHTS + 0.004), True),
        (Answer(router_weights=WEIGHTS - 0.006), False),
        (Answer(router_weights=with_first(WEIGHTS, 1, np.nan)), False),
    ],
)
def test_bars(answer, holds):
    (proof,) = compare(answer, GOLDEN)
    assert proof.holds == holds
