import math

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam_ros.core.area_average import area_average
from mle_sam_ros.core.camera_raster import camera_raster
import numpy as np
import pytest


def random_image(seed, size_hw):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    return np.where(random.random((*size_hw, 1)) < 0.3, image // 128 * 255, image).astype(np.uint8)


def covered(num_old, num_new):
    """Each new pixel's old ones and their shares, which float32 holds."""
    scale = 1 / (num_new / num_old)
    for new in range(num_new):
        begin = new * scale
        end = begin + scale
        size = min(scale, num_old - begin)
        last = min(math.floor(end), num_old - 1)
        first = min(math.ceil(begin), last)
        shares = dict.fromkeys(range(first, last), 1 / size)
        if first - begin > 1e-3:
            shares[first - 1] = (first - begin) / size
        if end - last > 1e-3:
            shares[last] = min(end - last, 1.0, size) / size
        yield [(old, np.float32(shares[old])) for old in sorted(shares)]


def reference(image, size_hw):
    """Row by row and column by column, in the order of the pixels, in float32."""
    height, width = size_hw
    averaged = np.zeros((height, width, 3), np.float32)
    columns = list(covered(image.shape[1], width))
    for row, rows in enumerate(covered(image.shape[0], height)):
        for old_row, row_share in rows:
            for column, shares in enumerate(columns):
                total = np.zeros(3, np.float32)
                for old, share in shares:
                    total += image[old_row, old].astype(np.float32) * share
                averaged[row, column] += total * row_share
    return np.rint(averaged).astype(np.uint8)


SIZES = st.tuples(st.integers(1, 13), st.integers(1, 13))


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), SIZES, SIZES)
def test_agrees_with_the_reference(seed, one_hw, other_hw):
    old_hw = max(one_hw[0], other_hw[0]), max(one_hw[1], other_hw[1])
    new_hw = min(one_hw[0], other_hw[0]), min(one_hw[1], other_hw[1])
    image = random_image(seed, old_hw)
    expected = reference(image, new_hw)
    if old_hw[0] % new_hw[0] == old_hw[1] % new_hw[1] == 0:  # where OpenCV rounds a half up
        assert np.abs(area_average(image, new_hw).astype(int) - expected).max() <= 1
    else:
        np.testing.assert_array_equal(area_average(image, new_hw), expected)


@pytest.mark.parametrize(
    ('old_hw', 'new_hw'),
    [
        ((320, 640), (224, 448)),
        ((720, 1280), (224, 448)),
        ((1080, 1920), (1024, 1024)),
        ((260, 346), (224, 300)),
        ((448, 896), (224, 448)),
        ((200, 300), (224, 448)),
    ],
)
def test_agrees_with_opencv(old_hw, new_hw):
    image = random_image(1, old_hw)
    expected = cv2.resize(image, new_hw[::-1], interpolation=cv2.INTER_AREA)
    difference = np.abs(camera_raster(image, new_hw).astype(int) - expected)
    # Not a bit on x86; elsewhere OpenCV multiplies and adds in one, which rounds otherwise.
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 1e-3 * difference.size


def test_views_serve_as_well():
    image = random_image(2, (50, 90))
    view = np.ascontiguousarray(image[:, ::-1])[:, ::-1]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(area_average(view, (20, 33)), area_average(image, (20, 33)))
