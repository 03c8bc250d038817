from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.aligned_raster import aligned_raster
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

RNG = np.random.default_rng(0)


def nearest_reference(image, input_hw):
    """The pixel under the centre of each pixel of the raster."""
    (height, width), (rows, columns) = image.shape[:2], input_hw
    return np.array(
        [
            [image[(2 * v + 1) * height // (2 * rows), (2 * u + 1) * width // (2 * columns)]
             for u in range(columns)]
            for v in range(rows)
        ]
    )  # fmt: skip


def area_reference(image, input_hw):
    """The mean of the block under each pixel of the raster, whose side divides the image's."""
    blocks = [image.shape[axis] // input_hw[axis] for axis in (0, 1)]
    return np.array(
        [
            [
                image[v * blocks[0] :, u * blocks[1] :][: blocks[0], : blocks[1]].mean((0, 1))
                for u in range(input_hw[1])
            ]
            for v in range(input_hw[0])
        ]
    )


@given(st.tuples(*[st.integers(1, 12)] * 4), st.sampled_from(['uint8', 'float32']))
def test_nearest_keeps_the_values_of_sparse_images(sizes, dtype):
    # Of odd sides: no centre falls on the limit between two pixels, where either would be right.
    shape, input_hw = (2 * sizes[0] - 1, 2 * sizes[1] - 1, 3), sizes[2:]
    image = (RNG.integers(0, 256, shape) * (RNG.random(shape) < 0.3)).astype(dtype)
    raster = aligned_raster(image, input_hw, dtype, 'nearest', 'event')
    assert raster.dtype == dtype
    assert np.array_equal(raster, nearest_reference(image, input_hw))


@given(st.tuples(*[st.integers(1, 6)] * 4), st.sampled_from(['uint8', 'float32']))
def test_area_averages_where_it_shrinks(sizes, dtype):
    input_hw = sizes[:2]
    shape = (input_hw[0] * sizes[2], input_hw[1] * sizes[3], 3)
    image = RNG.integers(0, 256, shape).astype(dtype)
    raster = aligned_raster(image, input_hw, dtype, 'area', 'depth')
    assert raster.dtype == dtype
    tolerance = 0.51 if dtype == 'uint8' else 1e-3
    np.testing.assert_allclose(raster, area_reference(image, input_hw), atol=tolerance)


def test_an_image_of_the_right_size_stays_as_it_is():
    image = RNG.integers(0, 256, (4, 6, 3), np.uint8)
    raster = aligned_raster(image[:, ::-1], (4, 6), 'uint8', 'area', 'depth')
    assert np.array_equal(raster, image[:, ::-1])
    assert raster.flags.c_contiguous


@pytest.mark.parametrize(
    ('shape', 'dtype', 'got'),
    [
        ((4, 6), np.uint8, r'\(4, 6\) uint8'),
        ((4, 6, 1), np.uint8, r'\(4, 6, 1\) uint8'),
        ((0, 6, 3), np.uint8, r'\(0, 6, 3\) uint8'),
        ((4, 6, 3), np.float32, r'\(4, 6, 3\) float32'),
    ],
)
def test_anything_else_is_refused(shape, dtype, got):
    with pytest.raises(InputError, match=rf'depth: .*\(H, W, 3\) uint8, got {got}'):
        aligned_raster(np.zeros(shape, dtype), (4, 6), 'uint8', 'area', 'depth')
