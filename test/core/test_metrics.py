import math

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.metrics import CalibrationError, ConfusionMatrix
import numpy as np
import pytest

NUM_CLASSES = 4
SHAPE = (5, 6)
IDS = npst.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, 255]))
LEVELS = npst.arrays(np.uint8, SHAPE, elements=st.integers(0, 255))


def matrix_of(truth, prediction, num_classes=NUM_CLASSES):
    matrix = ConfusionMatrix(num_classes)
    matrix.update(np.array(truth, np.uint8), np.array(prediction, np.uint8))
    return matrix


def slow_iou(truth, prediction, class_id):
    pixels = [(t, p) for t, p in zip(truth.ravel(), prediction.ravel(), strict=True) if t != 255]
    both = sum(t == class_id and p == class_id for t, p in pixels)
    either = sum(t == class_id or p == class_id for t, p in pixels)
    return both / either if either else math.nan


@given(IDS, IDS)
def test_iou_is_that_of_the_definition(truth, prediction):
    expected = [slow_iou(truth, prediction, class_id) for class_id in range(NUM_CLASSES)]
    np.testing.assert_array_equal(matrix_of(truth, prediction).iou(), expected)


@given(IDS, IDS, IDS, IDS)
def test_frames_add_up(truth, prediction, other_truth, other_prediction):
    total = matrix_of(truth, prediction) + matrix_of(other_truth, other_prediction)
    whole = matrix_of(np.hstack([truth, other_truth]), np.hstack([prediction, other_prediction]))
    np.testing.assert_array_equal(total.counts, whole.counts)


def test_absent_class_is_skipped_or_zero():
    matrix = matrix_of([[0, 0, 1, 1]], [[0, 0, 1, 0]], num_classes=3)
    np.testing.assert_allclose(matrix.iou(), [2 / 3, 1 / 2, np.nan])
    assert matrix.miou() == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert matrix.miou(absent='zero') == pytest.approx((2 / 3 + 1 / 2) / 3)


def test_no_class_is_wrong_where_the_truth_is_known():
    matrix = matrix_of([[0, 0, 255]], [[0, 255, 255]])
    assert matrix.iou()[0] == 0.5
    assert matrix.accuracy() == 0.5


def test_without_pixels_there_is_no_score():
    matrix = ConfusionMatrix(NUM_CLASSES)
    assert math.isnan(matrix.miou())
    assert math.isnan(matrix.accuracy())
    assert matrix.miou(absent='zero') == 0


def test_a_255th_class_leaves_255_for_no_class():
    matrix = matrix_of([[254, 254, 0]], [[254, 255, 0]], num_classes=255)
    assert matrix.iou()[254] == 0.5


@pytest.mark.parametrize(
    ('truth', 'prediction', 'message'),
    [
        (np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), r'got \(2, 3\).*\(3, 2\)'),
        (np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.int64), 'expected .* uint8'),
        (np.full((2, 3), 4, np.uint8), np.zeros((2, 3), np.uint8), 'truth: .* got 4'),
        (np.zeros((2, 3), np.uint8), np.full((2, 3), 254, np.uint8), 'prediction: .* got 254'),
    ],
)
def test_bad_maps_are_refused_and_not_counted(truth, prediction, message):
    matrix = ConfusionMatrix(NUM_CLASSES)
    with pytest.raises(InputError, match=message):
        matrix.update(truth, prediction)
    assert matrix.counts.sum() == 0


def test_matrices_of_other_classes_do_not_add():
    with pytest.raises(InputError, match='expected 4 classes, got 3'):
        ConfusionMatrix(4) + ConfusionMatrix(3)


def slow_calibration_error(truth, prediction, confidence, num_bins):
    pixels = [
        (int(level), int(t == p))
        for t, p, level in zip(truth.ravel(), prediction.ravel(), confidence.ravel(), strict=True)
        if t != 255
    ]
    error = 0.0
    for number in range(num_bins):
        inside = [pixel for pixel in pixels if pixel[0] * num_bins // 256 == number]
        if inside:
            mean_confidence = sum(level for level, _ in inside) / 255 / len(inside)
            accuracy = sum(is_right for _, is_right in inside) / len(inside)
            error += len(inside) / len(pixels) * abs(accuracy - mean_confidence)
    return error if pixels else math.nan


@given(IDS, IDS, LEVELS, st.sampled_from([1, 10, 15]))
def test_calibration_error_is_that_of_the_definition(truth, prediction, confidence, num_bins):
    calibration = CalibrationError()
    calibration.update(truth, prediction, confidence)
    expected = slow_calibration_error(truth, prediction, confidence, num_bins)
    assert calibration.value(num_bins) == pytest.approx(expected, nan_ok=True)


def test_honest_confidence_has_no_error():
    truth = np.zeros((1, 255), np.uint8)
    prediction = np.uint8([[0] * 102 + [1] * 153])
    calibration = CalibrationError()
    calibration.update(truth, prediction, np.full((1, 255), 102, np.uint8))  # 102 = 40 % of 255
    assert calibration.value() == pytest.approx(0)


def test_confidence_of_another_size_is_refused():
    maps = np.zeros((2, 3), np.uint8)
    with pytest.raises(InputError, match='truth and confidence'):
        CalibrationError().update(maps, maps, np.zeros((4, 3), np.uint8))
