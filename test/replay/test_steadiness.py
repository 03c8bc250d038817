"""Masks that follow the image are consistent; masks that flicker are not."""

from dataclasses import replace

import cv2
from mle_sam_ros.core.overlap import mean_iou
from mle_sam_ros.replay.score.steadiness import Steadiness
import numpy as np
import pytest
from sample_frames import FRAME

SIZE_HW = (120, 240)
PERIOD_NS = 100_000_000


def texture():
    noise = np.random.default_rng(3).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def labels():
    label_map = np.zeros(SIZE_HW, np.uint8)
    label_map[30:90, 60:180] = 1
    return label_map


def frame(shift, label_map, index=1, truth=None):
    image = np.roll(texture(), shift, axis=1)
    return replace(
        FRAME, stamp_ns=index * PERIOD_NS, image=image, label_map=label_map, truth=truth
    )


def compare(first, second):
    return Steadiness(2).compare(first, second)


def test_a_mask_that_moves_with_the_image_is_consistent():
    moved = np.roll(labels(), 4, axis=1)
    pairs, overlaps = compare(frame(0, labels(), 0), frame(4, moved))
    assert pairs.tolist() == [1, 0]
    assert mean_iou(overlaps[0]) > 0.97
    _, standing = compare(frame(0, labels(), 0), frame(4, labels()))
    assert mean_iou(standing[0]) < mean_iou(overlaps[0]) - 0.02


def test_the_truth_shows_what_the_flow_loses():
    first = frame(0, 1 - labels(), 0, truth=labels())
    second = frame(4, labels(), 1, truth=np.roll(labels(), 4, axis=1))
    pairs, overlaps = compare(first, second)
    assert pairs.tolist() == [1, 1]
    assert mean_iou(overlaps[0]) < 0.1
    assert mean_iou(overlaps[1]) > 0.97


def test_unknown_pixels_do_not_count():
    truth = labels()
    truth[:60] = 255
    _, overlaps = compare(
        frame(0, labels(), 0, truth=truth), frame(0, labels(), 1, truth=labels())
    )
    # Counted in an image of two thirds of the size.
    assert overlaps[1, :, 0].tolist() == [(60 * 240 - 30 * 120) * 4 // 9] * 3
    assert overlaps[1, :, 1].tolist() == [30 * 120 * 4 // 9] * 3


@pytest.mark.parametrize(
    'change',
    [
        {'image': None},
        {'label_map': np.zeros((60, 120), np.uint8)},
        {'stamp_ns': PERIOD_NS * 3},
        {'stamp_ns': 0},
        {'image': np.zeros((60, 120, 3), np.uint8)},
        {'image': np.zeros((8, 16, 3), np.uint8)},
    ],
)
def test_frames_that_do_not_follow_are_no_pair(change):
    pairs, overlaps = compare(frame(0, labels(), 0), replace(frame(0, labels()), **change))
    assert pairs.tolist() == [0, 0]
    assert overlaps.sum() == 0
