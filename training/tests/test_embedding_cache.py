"""What a frozen encoder says, kept on disk."""

from dataclasses import replace
from pathlib import Path

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.checkpoint import read_checkpoint
from mle_sam.datasets.augmentation import AugmentationConfig
from mle_sam.embedding_cache import EmbeddingCache, EmbeddingCacheConfig
from mle_sam.models.ad_sam import AdSam
from mle_sam.models.build import build_network
from mle_sam.recipe import Recipe, StageConfig
from mle_sam.train import train
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
import torch
from toy import HW, ToyDataset

ENCODER = (('weight', torch.arange(6.0)),)
FLIPS = AugmentationConfig(flip=0.5, scale=(1.0, 1.0), jitter=0.0, blur=0.0)


class Encoder:
    """Counts what it is asked."""

    def __init__(self, factor: float = 1.0):
        self.num_images, self._factor = 0, factor

    def __call__(self, raster_1HW3: torch.Tensor) -> torch.Tensor:
        assert len(raster_1HW3) == 1
        self.num_images += 1
        return self._factor * raster_1HW3.permute(0, 3, 1, 2)[:, :, ::2, ::2].sqrt()


@pytest.fixture
def config(tmp_path) -> EmbeddingCacheConfig:
    return EmbeddingCacheConfig(str(tmp_path / 'embeddings'))


def files(config: EmbeddingCacheConfig) -> list[Path]:
    return sorted(path for path in Path(config.directory).rglob('*') if path.is_file())


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float16', 1e-3), ('float32', 0)])
def test_an_image_is_encoded_once(config, dtype, tolerance):
    cache = EmbeddingCache(replace(config, dtype=dtype), ENCODER, 'fp32')
    encoder, images = Encoder(), torch.rand(3, 4, 6, 3)
    first = cache.embed(images[[0, 1]], encoder)
    again = cache.embed(images[[2, 0, 1]], encoder)
    assert encoder.num_images == len(files(config)) == 3
    assert torch.equal(again[1:], first)  # what was just computed is rounded like the file
    assert again.dtype == torch.float32
    expected = torch.cat([Encoder()(image[None]) for image in images[[2, 0, 1]]])
    torch.testing.assert_close(again, expected, rtol=tolerance, atol=0)


def test_what_differs_by_one_bit_is_another_image(config):
    cache, encoder = EmbeddingCache(config, ENCODER, 'fp32'), Encoder()
    image = torch.rand(1, 4, 6, 3)
    other = image.clone()
    other[0, 3, 5, 2] = torch.nextafter(other[0, 3, 5, 2], torch.tensor(2.0))
    same_bytes = (image.reshape(1, 6, 4, 3), image.view(torch.int32))
    for raster in (image, other, image.flip(2), *same_bytes):
        cache.embed(raster, encoder)
    assert encoder.num_images == 5


@pytest.mark.parametrize(
    'other',
    [
        {'encoder': (('weight', torch.arange(6.0) + 1e-6),)},
        {'encoder': (('weight', torch.arange(6.0)[:, None]),)},
        {'encoder': (('weight', torch.arange(6.0).view(torch.int32)),)},
        {'encoder': (('other', torch.arange(6.0)),)},
        {'precision': 'bf16'},
        {'dtype': 'float32'},
    ],
)
def test_encoders_lie_apart(config, other):
    def open_cache(encoder=ENCODER, precision='fp32', dtype='float16') -> EmbeddingCache:
        return EmbeddingCache(replace(config, dtype=dtype), encoder, precision)

    assert open_cache().directory == open_cache().directory
    assert open_cache().directory != open_cache(**other).directory


@pytest.mark.parametrize('length', [0, 50, 200])
def test_a_torn_file_is_made_again(config, length):
    cache, encoder, image = (
        EmbeddingCache(config, ENCODER, 'fp32'),
        Encoder(),
        torch.rand(1, 8, 8, 3),
    )
    expected = cache.embed(image, encoder)
    (file,) = files(config)
    file.write_bytes(file.read_bytes()[:length])
    assert torch.equal(cache.embed(image, encoder), expected)
    assert torch.equal(cache.embed(image, encoder), expected)
    assert encoder.num_images == 2
    assert files(config) == [file]


@pytest.mark.parametrize('factor', [1e6, torch.nan])
def test_beyond_the_range_of_float16(config, factor):
    cache = EmbeddingCache(config, ENCODER, 'fp32')
    with pytest.raises(InputError, match=r'within the range of float16, got .*choose float32'):
        cache.embed(torch.ones(1, 4, 4, 3), Encoder(factor))
    assert files(config) == []


def test_what_would_not_fit_is_refused(config):
    few = replace(config, limit_gb=0.005)
    few.check_space(2, (256, 64, 64))
    with pytest.raises(InputError, match=r'at most 0.005 GB, got 3 images of .* float16, 0\.0 GB'):
        few.check_space(3, (256, 64, 64))
    with pytest.raises(InputError, match='float32'):
        replace(few, dtype='float32').check_space(2, (256, 64, 64))


@pytest.mark.parametrize('wrong', [{'dtype': 'bf16'}, {'limit_gb': 0.0}])
def test_a_wrong_field(wrong):
    with pytest.raises(InputError, match='embedding_cache: expected dtype float16 or float32'):
        EmbeddingCacheConfig('somewhere', **wrong)


@pytest.mark.parametrize(
    ('change', 'expected'),
    [
        ({}, 2),
        ({'blur': 0.2}, 4),
        ({'flip': 0.0}, 1),
        ({'flip': 1.0, 'blur': 1.0}, 1),
        ({'jitter': 0.1}, None),
        ({'scale': (0.5, 2.0)}, None),
        ({'scale': (1.5, 1.5)}, None),  # the place of the crop varies
    ],
)
def test_variants_of_a_sample(config, change, expected):
    augmentation = replace(FLIPS, **change)
    assert augmentation.num_variants == expected
    if expected is None:
        with pytest.raises(InputError, match=r'stage\.embedding_cache.*scale \[1\.0, 1\.0\]'):
            stage_of(augmentation, config)
    else:
        stage_of(augmentation, config)


def stage_of(augmentation: AugmentationConfig, cache: EmbeddingCacheConfig | None) -> StageConfig:
    return StageConfig(
        batch=1,
        steps=4,
        learning_rate=1e-3,
        save_every=4,
        augmentation=augmentation,
        embedding_cache=cache,
    )


@pytest.fixture(params=['vit', 'hiera'])
def ad_sam(request, network) -> AdSamConfig:
    return AdSamConfig(
        HW,
        network.modalities[:1],
        network.classes,
        encoder=request.param,
        size='nano',
        backbone='resnet18',
        freeze_statistics=False,
        widths=(16, 16, 16),
    )


@pytest.fixture
def small_recipe(recipe, ad_sam, config, tmp_path) -> Recipe:
    """Starts from a file."""
    file, trunk = tmp_path / 'sam.pth', build_network(ad_sam.trunk())
    torch.save(trunk.state_dict(), file)
    stage = stage_of(FLIPS, replace(config, dtype='float32'))
    return replace(recipe, network=ad_sam, trunk=None, pretrained=str(file), experts=stage)


def trained(recipe: Recipe, directory: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(train(recipe, 'experts', ToyDataset(2), None, directory)).model


@pytest.mark.parametrize('ad_sam', ['vit'], indirect=True)
def test_a_second_run_needs_no_encoder_and_ends_the_same(
    small_recipe, config, tmp_path, monkeypatch
):
    first = trained(small_recipe, tmp_path / 'first')
    found = files(config)
    assert 2 <= len(found) <= 4  # two samples, mirrored or not

    def never(*_):
        raise AssertionError('all of it is on disk')

    monkeypatch.setattr(AdSam, 'embed', never)
    second = trained(small_recipe, tmp_path / 'second')
    assert all(torch.equal(second[name], value) for name, value in first.items())
    assert files(config) == found


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float16', 1e-3), ('float32', 1e-5)])
def test_gradients_are_those_without_it(ad_sam, config, dtype, tolerance):
    model, raster = AdSam(ad_sam).train(), torch.rand(2, *HW, 3) * 255
    model.set_trainable('experts')

    def gradients() -> torch.Tensor:
        model.zero_grad()
        model.encode(raster, 'camera')[0].square().mean().backward()
        learning = [p.grad.flatten() for p in model.parameters() if p.requires_grad]
        return torch.cat(learning)

    without = gradients()
    model.keep_embeddings(replace(config, dtype=dtype), 'fp32', 2)
    assert (gradients() - without).norm() < tolerance * without.norm()


def test_only_training_asks_the_disk(ad_sam, config):
    model, raster = AdSam(ad_sam), torch.rand(2, *HW, 3) * 255
    model.keep_embeddings(config, 'fp32', 2)
    model.eval().encode(raster, 'camera')
    assert files(config) == []
    model.train().encode(raster, 'camera')
    assert len(files(config)) == 2


def test_other_normalisation_is_another_encoder(ad_sam, config):
    (camera,) = ad_sam.modalities
    model = AdSam(ad_sam)
    other = AdSam(replace(ad_sam, modalities=(replace(camera, mean=(0.0, 1.0, 2.0)),)))
    other.load_state_dict(model.state_dict())
    for each in (model, other):
        each.keep_embeddings(config, 'fp32', 2)
    assert len(list(Path(config.directory).iterdir())) == 2


def test_what_is_adapted_is_not_kept(recipe, ad_sam, config):
    stage = stage_of(FLIPS, config)
    with pytest.raises(InputError, match=r'experts\.embedding_cache.*got mle_sam'):
        replace(recipe, experts=stage)
    with pytest.raises(InputError, match=r'trunk\.embedding_cache.*got (mle_sam|sam_lora)'):
        replace(recipe, network=ad_sam, trunk=stage)


def test_half_precision_of_training(ad_sam, config):
    model, raster = AdSam(ad_sam), torch.rand(1, *HW, 3) * 255
    model.train().keep_embeddings(config, 'bf16', 1)
    with torch.autocast('cpu', torch.bfloat16):
        (first,) = model.encode(raster, 'camera')
        (again,) = model.encode(raster, 'camera')
    assert np.isfinite(first.detach().float().numpy()).all()
    torch.testing.assert_close(first, again)
