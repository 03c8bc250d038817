"""Boundary IoU is that of the definition, worked out pixel by pixel."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mle_sam_ros.core import boundary
from mle_sam_ros.core.boundary import boundary_overlap, boundary_width_px
from mle_sam_ros.core.overlap import iou_of
import numpy as np
import pytest

NUM_CLASSES = 3
SHAPE = (7, 9)
IDS = npst.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


def slow_band(label_map, known, width_px):
    """Whether each known pixel has another class, or the edge of the image, within reach."""
    height, width = label_map.shape
    band = np.zeros(label_map.shape, bool)
    for row in range(height):
        for column in range(width):
            reach = range(-width_px, width_px + 1)
            near = [(row + y, column + x) for y in reach for x in reach]
            inside = [(v, u) for v, u in near if 0 <= v < height and 0 <= u < width]
            others = [at for at in inside if known[at] and label_map[at] != label_map[row, column]]
            band[row, column] = known[row, column] and (len(inside) < len(near) or len(others) > 0)
    return band


def slow_overlap(truth, prediction, width_px):
    known = truth != 255
    in_truth, in_prediction = (
        slow_band(label_map, known, width_px) for label_map in (truth, prediction)
    )
    rows = [[], [], []]
    for class_id in range(NUM_CLASSES):
        first = in_truth & (truth == class_id)
        second = in_prediction & (prediction == class_id)
        for row, where in zip(rows, (first & second, first, second), strict=True):
            row.append(int(where.sum()))
    return rows


@given(IDS, IDS, st.integers(1, 2))
def test_the_overlap_is_that_of_the_definition(truth, prediction, width_px):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundary, 'boundary_width_px', lambda _: width_px)
        overlap = boundary_overlap(truth, prediction, NUM_CLASSES)
    assert overlap.tolist() == slow_overlap(truth, prediction, width_px)


def test_a_shifted_box_loses_more_at_its_outline_than_in_its_area():
    truth = np.zeros((200, 400), np.uint8)
    truth[60:140, 100:300] = 1
    prediction = np.roll(truth, 6, axis=1)
    mask_iou = (80 * 194) / (80 * 206)
    both, first, second = boundary_overlap(truth, prediction, 2)[:, 1]
    assert both / (first + second - both) < mask_iou - 0.2


def test_the_band_is_two_percent_of_the_diagonal():
    assert boundary_width_px((320, 640)) == 14
    assert boundary_width_px((2, 2)) == 1


def test_a_band_that_fills_the_object_gives_the_plain_iou():
    """As the authors prove: where every pixel is near the outline, both measures are one."""
    truth, prediction = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    truth[1:3, 1:3], prediction[1:3, 1:4] = 1, 1
    assert iou_of(boundary_overlap(truth, prediction, 2))[1] == 4 / 6
