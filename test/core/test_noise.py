from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    EventEncoding,
    LidarEncoding,
    RgbEncoding,
)
from mle_sam_ros.core.noise import add_noise, has_grey_levels, noise_generator
import numpy as np
import pytest

EVENT, LIDAR = EventEncoding(30_000_000, 3), LidarEncoding(1.0, 3)


def noisy(raster, encoding, kind, seed=0):
    return add_noise(raster, encoding, kind, noise_generator(seed, 0, 'x', kind))


def test_grey_levels_get_the_papers_figures():
    grey = np.full((200, 300, 3), 128, np.uint8)
    uniform = noisy(grey, RgbEncoding(), 'uniform') - 128
    assert uniform.dtype == np.float32
    assert uniform.min() == pytest.approx(-100, abs=0.1)
    assert uniform.max() == pytest.approx(100, abs=0.1)
    assert uniform.std() == pytest.approx(100 / np.sqrt(3), rel=0.01)
    gaussian = noisy(grey, RgbEncoding(), 'gaussian') - 128
    assert gaussian.mean() == pytest.approx(0, abs=0.5)
    # Clipped at 2.55 sigma: almost the whole standard deviation is left.
    assert gaussian.std() == pytest.approx(49.3, abs=0.5)
    assert np.abs(gaussian).max() <= 128


@pytest.mark.parametrize('kind', ['gaussian', 'uniform'])
@pytest.mark.parametrize('level', [0, 255])
def test_grey_levels_are_clipped_to_their_scale(kind, level):
    image = noisy(np.full((50, 50, 3), level, np.uint8), DepthHhaEncoding(), kind)
    assert image.min() >= 0
    assert image.max() <= 255
    assert (image == level).mean() == pytest.approx(0.5, abs=0.02)


def test_metres_get_the_noise_of_the_image_that_they_would_be_stored_as():
    rng = np.random.default_rng(1)
    raster = rng.uniform((0, 0, -3), (80, 200, 9), (40, 50, 3)).astype(np.float32)
    low, high = raster.min((0, 1)), raster.max((0, 1))
    image = 255 * (raster - low) / (high - low)
    levels = 50.0 * noise_generator(0, 0, 'x', 'gaussian').standard_normal(raster.shape)
    expected = low + np.clip(image + levels, 0, 255) * (high - low) / 255
    np.testing.assert_allclose(noisy(raster, LIDAR, 'gaussian'), expected, atol=1e-3)


def test_a_channel_that_says_nothing_stays_silent():
    counts = np.zeros((20, 20, 3), np.uint8)
    counts[5, 5, 0] = 10
    changed = noisy(counts, EVENT, 'uniform')
    assert changed[..., 0].std() > 0
    assert changed[..., 0].max() <= 10
    assert np.all(changed[..., 1:] == 0)


def test_noise_is_a_function_of_seed_sample_modality_and_kind():
    def draw(*key):
        return noise_generator(*key).random(4).tolist()

    keys = [
        (0, 0, 'camera', 'uniform'),
        (1, 0, 'camera', 'uniform'),
        (0, 1, 'camera', 'uniform'),
        (0, 0, 'depth', 'uniform'),
        (0, 0, 'camera', 'gaussian'),
    ]
    assert all(draw(*key) == draw(*key) for key in keys)
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


@pytest.mark.parametrize(
    ('encoding', 'expected'),
    [
        (RgbEncoding(), True),
        (DepthHhaEncoding(), True),
        (AlignedImageEncoding('uint8', 'nearest'), True),
        (AlignedImageEncoding('float32', 'area'), False),
        (EVENT, False),
        (LIDAR, False),
    ],
)
def test_what_is_an_image(encoding, expected):
    assert has_grey_levels(encoding) is expected
