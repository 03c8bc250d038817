from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.outputs import (
    colour_label_map,
    overlay,
    resize_confidence,
    resize_label_map,
)
import numpy as np
import pytest

PALETTE = ((128, 64, 128), (255, 255, 255), (0, 60, 200))
IDS = st.sampled_from([0, 1, 2, 255])
SIDES = st.integers(1, 12)


@st.composite
def label_maps(draw):
    return draw(npst.arrays(np.uint8, (draw(SIDES), draw(SIDES)), elements=IDS))


def nearest_pixels(index, size, new_size):
    """The source pixels that hold the centre of a new pixel: two where it lies on their border."""
    border, remainder = divmod((2 * index + 1) * size, 2 * new_size)
    return [border] if remainder else [border - 1, border]


@given(label_maps(), SIDES, SIDES)
def test_label_map_takes_the_nearest_centre(label_map, height, width):
    resized = resize_label_map(label_map, (height, width))
    rows, columns = label_map.shape
    for (v, u), class_id in np.ndenumerate(resized):
        near = np.ix_(nearest_pixels(v, rows, height), nearest_pixels(u, columns, width))
        assert class_id in label_map[near]


@given(label_maps())
def test_same_size_is_untouched(label_map):
    np.testing.assert_array_equal(resize_label_map(label_map, label_map.shape), label_map)
    np.testing.assert_array_equal(resize_confidence(label_map, label_map.shape), label_map)


def test_confidence_is_interpolated():
    resized = resize_confidence(np.uint8([[0, 100]]), (1, 4))
    np.testing.assert_array_equal(resized, [[0, 25, 75, 100]])


@given(label_maps())
def test_colours_come_from_the_palette(label_map):
    colours = colour_label_map(label_map, PALETTE)
    for position, class_id in np.ndenumerate(label_map):
        expected = (0, 0, 0) if class_id == 255 else PALETTE[class_id]
        assert tuple(colours[position]) == expected


@given(label_maps(), st.sampled_from([0.0, 0.25, 1.0]), st.integers(0, 2**32 - 1))
def test_overlay_blends_where_there_is_a_class(label_map, opacity, seed):
    image = np.random.default_rng(seed).integers(0, 256, (*label_map.shape, 3), np.uint8)
    before = image.copy()
    picture = overlay(image, label_map, PALETTE, opacity)
    np.testing.assert_array_equal(image, before)
    for position, class_id in np.ndenumerate(label_map):
        pixel = image[position].astype(float)
        if class_id != 255:
            pixel = (1 - opacity) * pixel + opacity * np.array(PALETTE[class_id])
        np.testing.assert_allclose(picture[position], pixel, atol=0.5)


def test_overlay_of_another_size_is_refused():
    with pytest.raises(InputError, match=r'expected an image of \(2, 3\) pixels, got \(4, 3\)'):
        overlay(np.zeros((4, 3, 3), np.uint8), np.zeros((2, 3), np.uint8), PALETTE)
