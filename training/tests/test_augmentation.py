import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_sam.datasets.augmentation import augment, AugmentationConfig
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

STILL = AugmentationConfig(flip=0.0, scale=(1.0, 1.0), jitter=0.0, blur=0.0)
HW = (24, 40)


def sample(seed=0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    camera = rng.integers(0, 256, (*HW, 3), np.uint8)
    lidar = rng.random((*HW, 3), np.float32) * (rng.random((*HW, 1)) < 0.3)
    return {'camera': camera, 'lidar': lidar}, rng.integers(0, 5, HW, np.uint8)


def changed(config, seed=0, smooth=frozenset({'camera'})):
    return augment(*sample(), config, smooth, np.random.default_rng(seed))


def with_(**settings) -> AugmentationConfig:
    return AugmentationConfig(**{**vars(STILL), **settings})


def test_nothing_to_change():
    (rasters, labels), (given_rasters, given_labels) = changed(STILL), sample()
    assert np.array_equal(labels, given_labels)
    assert labels.dtype == np.uint8
    for name, raster in rasters.items():
        assert raster.dtype == np.float32
        assert np.array_equal(raster, given_rasters[name])


def test_flip_mirrors_all_alike():
    (rasters, labels), (given_rasters, given_labels) = changed(with_(flip=1.0)), sample()
    assert np.array_equal(labels, given_labels[:, ::-1])
    for name, raster in rasters.items():
        assert np.array_equal(raster, given_rasters[name][:, ::-1])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.4, 2.5), st.sampled_from([0.0, 1.0]))
def test_rasters_and_labels_stay_together(seed, scale, flip):
    """A raster that shows its labels still does, wherever the crop has gone."""
    _, labels = sample(seed)
    shown = np.repeat(labels[..., None], 3, axis=2)
    config = with_(flip=flip, scale=(scale, scale))
    rng = np.random.default_rng(seed)
    rasters, moved = augment({'lidar': shown}, labels, config, frozenset(), rng)
    inside = moved != 255
    assert np.array_equal(rasters['lidar'][inside], np.repeat(moved[inside][:, None], 3, 1))
    assert not rasters['lidar'][~inside].any()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 1.0, 2.0]))
def test_geometry_is_that_of_a_resize_and_a_crop(seed, scale):
    """Against OpenCV's resize, then a window of the sample's size somewhere within it."""
    labels = np.zeros(HW, np.uint8)
    labels[6:18, 10:30] = 1
    _, moved = augment(
        {}, labels, with_(scale=(scale, scale)), frozenset(), np.random.default_rng(seed)
    )
    size = (round(HW[1] * scale), round(HW[0] * scale))
    resized = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    share = (moved != 255).mean()
    if scale <= 1:  # all of it is still there, and 255 around it
        assert share == pytest.approx(scale**2, abs=0.08)
        assert (moved == 1).sum() == pytest.approx((resized == 1).sum(), rel=0.25)
        return
    assert share == 1
    canvas = cv2.matchTemplate(resized, moved, cv2.TM_SQDIFF)
    assert canvas.min() <= 0.06 * moved.size  # up to the rounding of the window's place


def test_jitter_against_its_definition():
    """Brightness, contrast about the mean grey and saturation about each pixel's grey."""
    seed, jitter_range = 5, 0.5
    rng = np.random.default_rng(seed)
    rng.random()
    rng.uniform(1.0, 1.0)
    rng.uniform(np.zeros(2), np.zeros(2))
    rng.random()
    brightness, contrast, saturation = 1 + jitter_range * rng.uniform(-1, 1, 3)
    rasters, _ = changed(with_(jitter=1.0, jitter_range=jitter_range), seed)
    image = sample()[0]['camera'].astype(np.float64)
    luma = np.array([0.299, 0.587, 0.114])
    image = np.clip(image * brightness, 0, 255)
    grey = float((image @ luma).mean())
    image = np.clip(grey * (1 - contrast) + image * contrast, 0, 255)
    for row in image.reshape(-1, 3):
        row[:] = np.clip((row @ luma) * (1 - saturation) + row * saturation, 0, 255)
    assert np.allclose(rasters['camera'], image, atol=1e-2)


@pytest.mark.parametrize('settings', [{'jitter': 1.0}, {'blur': 1.0}])
def test_only_the_camera_changes_its_looks(settings):
    (rasters, labels), (given_rasters, given_labels) = changed(with_(**settings)), sample()
    assert not np.array_equal(rasters['camera'], given_rasters['camera'])
    assert 0 <= rasters['camera'].min() <= rasters['camera'].max() <= 255
    assert np.array_equal(rasters['lidar'], given_rasters['lidar'])
    assert np.array_equal(labels, given_labels)


def test_what_is_there_does_not_matter_to_the_draws():
    rasters, labels = sample()
    config = AugmentationConfig()
    alone, _ = augment(
        {'lidar': rasters['lidar']}, labels, config, frozenset(), np.random.default_rng(3)
    )
    beside, _ = augment(rasters, labels, config, frozenset(), np.random.default_rng(3))
    assert np.array_equal(alone['lidar'], beside['lidar'])
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    augment({}, labels, config, frozenset(), first)
    augment(rasters, labels, STILL, frozenset(), second)
    assert first.random() == second.random()


def test_each_happens_as_often_as_asked():
    rng, flips = np.random.default_rng(0), 0
    labels = np.zeros((2, 4), np.uint8)
    labels[:, 0] = 1
    for _ in range(2000):
        _, moved = augment({}, labels, with_(flip=0.3), frozenset(), rng)
        flips += int(moved[0, -1])
    assert flips / 2000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ('settings', 'match'),
    [
        ({'flip': 1.5}, 'from 0 to 1'),
        ({'blur': -0.1}, 'from 0 to 1'),
        ({'scale': (2.0, 0.5)}, r'augmentation\.scale'),
        ({'scale': (0.0, 1.0)}, r'augmentation\.scale'),
    ],
)
def test_bad_settings(settings, match):
    with pytest.raises(InputError, match=match):
        AugmentationConfig(**settings)
