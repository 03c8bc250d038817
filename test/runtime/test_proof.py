"""The bars of the proof, and which graph is named where an engine misses them."""

from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.metrics import NO_CLASS
from mle_sam_ros.runtime.golden import Golden, GoldenAnswer
from mle_sam_ros.runtime.proof import compare, LIMITS
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

    def features(self, name):
        return [np.array([[3.0, 4.0]], np.float16)]


def with_first(array: np.ndarray, count: int, value: float) -> np.ndarray:
    changed = array.copy()
    changed.reshape(-1)[:count] = value
    return changed


@pytest.mark.parametrize(
    ('answer', 'strictest'),
    [
        (Answer(), 'fp32'),
        (Answer(label_map=with_first(LABELS, 9, 1)), 'fp32'),
        (Answer(label_map=with_first(LABELS, 11, 1)), 'fp16'),
        (Answer(label_map=with_first(LABELS, 29, 1)), 'fp16'),
        (Answer(label_map=with_first(LABELS, 31, 1)), None),
        (Answer(label_map=with_first(LABELS, 9, NO_CLASS)), 'fp32'),
        (Answer(label_map=with_first(LABELS, 1, 9)), 'fp32'),
        (Answer(confidence=CONFIDENCE + 3), 'fp32'),
        (Answer(confidence=CONFIDENCE - 4), 'fp16'),
        (Answer(confidence=CONFIDENCE - 9), None),
        (Answer(confidence=with_first(CONFIDENCE, 9, 0)), 'fp32'),
        (Answer(confidence=with_first(CONFIDENCE, 12, 0)), None),
        (Answer(router_weights=WEIGHTS + 0.004), 'fp32'),
        (Answer(router_weights=WEIGHTS - 0.006), 'fp16'),
        (Answer(router_weights=WEIGHTS - 0.021), None),
        (Answer(router_weights=with_first(WEIGHTS, 1, np.nan)), None),
    ],
)
def test_bars(answer, strictest):
    proof = compare(answer, GOLDEN)
    met = [precision for precision, limits in LIMITS.items() if proof.fault(limits) is None]
    assert met == {'fp32': ['fp32', 'fp16'], 'fp16': ['fp16'], None: []}[strictest]


@pytest.mark.parametrize(
    ('num_wrong', 'fault_by_precision'),
    [
        # One of the ten pixels of class 7 is lost: its IoU falls to 0.9.
        (0, {'fp32': None, 'fp16': None}),
        (1, {'fp32': 'mIoU drop 5.0', 'fp16': 'mIoU drop 5.0'}),
    ],
)
def test_a_rare_class_counts_as_much_as_a_frequent_one(num_wrong, fault_by_precision):
    truth = with_first(LABELS, 10, 7)
    golden = Golden({}, (GoldenAnswer(('camera',), truth, CONFIDENCE, WEIGHTS),))
    proof = compare(Answer(label_map=with_first(truth, num_wrong, 0)), golden)
    for precision, expected in fault_by_precision.items():
        fault = proof.fault(LIMITS[precision])
        assert fault is None if expected is None else fault.startswith(expected)


def test_agreement_counts_for_every_subset():
    """A subset that is wrong is refused, however many others are right."""
    answers = [GoldenAnswer((str(n),), LABELS, CONFIDENCE, WEIGHTS) for n in range(1000)]

    class OneWrong(Answer):
        def infer(self, rasters, present):
            num_wrong = 51 if present == {'500'} else 0
            return Inference(with_first(LABELS, num_wrong, 1), CONFIDENCE, WEIGHTS, {})

    proof = compare(OneWrong(), Golden({}, tuple(answers)))
    assert proof.miou_drop < 0.01
    assert proof.fault(LIMITS['fp16']).startswith('for 500 agreement 0.9949')


def test_miou_drop_is_over_all_subsets_at_once():
    rare = with_first(LABELS, 3, 7)  # three pixels of class 7, one of them lost
    frequent = with_first(LABELS, 5000, 7)
    answers = [
        GoldenAnswer((n,), m, CONFIDENCE, WEIGHTS) for n, m in (('a', rare), ('b', frequent))
    ]

    class Both(Answer):
        def infer(self, rasters, present):
            label_map = with_first(rare, 1, 0) if present == {'a'} else frequent
            return Inference(label_map, CONFIDENCE, WEIGHTS, {})

    together = compare(Both(), Golden({}, tuple(answers)))
    alone = compare(Both(), Golden({}, (answers[0],)))
    assert alone.miou_drop == pytest.approx(100 * (1 - (2 / 3 + 9997 / 9998) / 2))
    assert together.miou_drop < 0.02


@pytest.mark.parametrize(
    ('expected', 'cosine'),
    [
        ([[3.0, 4.0]], 1.0),
        ([[30.0, 40.0]], 1.0),
        ([[4.0, -3.0]], 0.0),
        ([[3.0, 4.0, 0.0]], -1.0),
    ],
)
def test_cosine_of_features(expected, cosine):
    golden = Golden({}, GOLDEN.answers, {'camera': [np.array(expected, np.float32)]})
    proof = compare(Answer(), golden)
    assert proof.cosines['camera'] == pytest.approx(cosine)
    assert (proof.fault(LIMITS['fp32']) is None) == (cosine == 1)


def test_features_that_are_no_numbers():
    class Overflowing(Answer):
        def features(self, name):
            return [np.array([[np.inf, 4.0]], np.float16)]

    golden = Golden({}, GOLDEN.answers, {'camera': [np.array([[3.0, 4.0]], np.float32)]})
    assert 'camera' in compare(Overflowing(), golden).fault(LIMITS['fp16'])
