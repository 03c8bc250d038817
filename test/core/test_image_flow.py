"""Pixels are followed from image to image, or left out where nobody can tell."""

import cv2
from mle_sam_ros.core.image_flow import ImageFlow, moved_overlap, small_grey
import numpy as np
import pytest


def texture(size_hw, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, size_hw, np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)


def slow_sources(backward, forward, scale):
    """The check of Sundaram et al., in an image twice as wide, pixel by pixel."""
    height, width = backward.shape[:2]
    found = np.full((height, width, 2), -1)
    for row in range(height):
        for column in range(width):
            there = backward[row, column].astype(np.float64)
            at = np.array([row + there[1] + 0.5, column + there[0] + 0.5])
            v, u = np.floor(at).astype(int)
            if 0 <= u < width and 0 <= v < height:
                back = forward[v, u].astype(np.float64)
                limit = 0.01 * (4 * there @ there + 4 * back @ back) + 0.5
                if 4 * (there + back) @ (there + back) < limit:
                    found[row, column] = at * scale
    return found


@pytest.mark.parametrize('scale', [1, 4.5])
def test_sources_are_those_of_the_definition(scale):
    before, now = texture((40, 60)), texture((40, 60), seed=1)
    size_hw = round(40 * scale), round(60 * scale)
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    estimator.setFinestScale(1)
    flows = estimator.calc(now, before, None), estimator.calc(before, now, None)
    found = ImageFlow().sources(before, now, size_hw)
    assert np.mean(found != slow_sources(*flows, scale)) < 0.001  # but for float32 at the limit
    assert np.any(found < 0)
    assert np.all(found < size_hw)


@pytest.mark.parametrize('shift', [(0, 0), (3, 0), (-2, 4)])
def test_a_shifted_image_is_followed(shift):
    before = texture((120, 160))
    sources = ImageFlow().sources(before, np.roll(before, shift, axis=(0, 1)), (120, 160))
    there = np.moveaxis(np.indices((120, 160)), 0, 2) - shift
    middle = (slice(20, -20), slice(20, -20))
    assert np.abs(sources[middle] - there[middle]).max(axis=2).mean() < 0.1


def slow_moved_overlap(before, now, sources, num_classes):
    counts = np.zeros((3, num_classes), int)
    (height, width), scale = sources.shape[:2], before.shape[0] / sources.shape[0]
    for row in range(height):
        for column in range(width):
            v, u = sources[row, column]
            if v >= 0:
                old, new = before[v, u], now[int((row + 0.5) * scale), int((column + 0.5) * scale)]
                if old != 255 and new != 255:
                    counts[0, old] += old == new
                    counts[1, old] += 1
                    counts[2, new] += 1
    return counts


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_the_overlap_is_that_of_the_definition(scale):
    random = np.random.default_rng(scale)
    sources = random.integers(0, 5 * scale, (5, 6, 2)).astype(np.int16)
    sources[random.random((5, 6)) < 0.3] = -1
    before, now = random.choice([0, 1, 2, 255], (2, 5 * scale, 6 * scale)).astype(np.uint8)
    overlap = moved_overlap(before, now, sources, 3)
    np.testing.assert_array_equal(overlap, slow_moved_overlap(before, now, sources, 3))


def test_what_was_hidden_has_no_source():
    before, now = texture((100, 200)), texture((100, 200))
    now[30:70, 80:120] = texture((40, 40), seed=5)  # something new stands there
    sources = ImageFlow().sources(before, now, (100, 200))
    assert np.mean(sources[35:65, 85:115] < 0) > 0.4
    assert np.mean(sources[:, :60] < 0) < 0.01


def test_images_are_made_small():
    assert small_grey(np.zeros((720, 1280, 3), np.uint8)).shape == (90, 160)
    assert small_grey(np.zeros((64, 128, 3), np.uint8)).shape == (64, 128)
    assert small_grey(np.zeros((8, 128, 3), np.uint8)) is None


def test_the_number_of_processors_changes_nothing():
    before, now = texture((160, 320)), np.roll(texture((160, 320)), 5, axis=1)
    threads = cv2.getNumThreads()
    try:
        found = []
        for number in (1, 2, 5):
            cv2.setNumThreads(number)
            found.append(ImageFlow().sources(before, now, (320, 640)))
    finally:
        cv2.setNumThreads(threads)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
