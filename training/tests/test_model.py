from dataclasses import replace
from itertools import product

from mle_sam.losses.ohem import ohem_cross_entropy
from mle_sam.models.mle_sam import MleSam
from mle_sam.models.network import Segmentation
import pytest
import torch

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]


def random_rasters(network, batch: int) -> dict[str, torch.Tensor]:
    return {name: torch.rand(batch, *network.input_hw, 3) * 9 for name in network.modality_names}


def loss_of(model: MleSam, rasters, present) -> torch.Tensor:
    segmentation = model(rasters, present)
    labels = torch.randint(0, 3, (len(present), *model.config.input_hw))
    return sum(ohem_cross_entropy(model.enlarge(path), labels) for path in segmentation.paths)


# Keeping one of three modalities, the weighted features alone would teach the kept one's experts.
VARIANTS = {
    'as it comes': {},
    'no auxiliary head': {'auxiliary_head': False},
    'no router': {'combination': 'average'},
    'weighted features only': {'combination': 'weighted', 'router_k': 3},
    'sum': {'combination': 'sum'},
    'no adapters': {'input_adapters': False},
    'router that keeps one': {'router_k': 1},
    'router that keeps one as it is': {'router_k': 1, 'router_renormalise': False},
    'router by own features': {'router_input': 'own'},
    'router with a hidden layer': {'router_hidden': 8, 'router_input': 'own'},
    'no prompt tokens': {'not_a_point_tokens': 0},
    'memory embedding': {'no_memory_embedding': True},
    'wide updates': {'lora_width': 'output'},
    'no experts': {'lora_rank': 0},
    'nothing frozen': {'frozen': False},
}


@pytest.mark.parametrize('stage', ['trunk', 'experts'])
@pytest.mark.parametrize('change', VARIANTS.values(), ids=VARIANTS)
def test_gradients_reach_all_that_learns_and_nothing_else(recipe, stage, change):
    network = replace(recipe, network=replace(recipe.network, **change)).network_of(stage)
    model = MleSam(network).train()
    model.set_trainable(stage)
    with torch.no_grad():  # at the factors' zero start the other factor has no gradient
        for name, parameter in model.named_parameters():
            if name.endswith(('query_up', 'value_up')):
                parameter.normal_(std=0.1)
    present = torch.ones(2, len(network.modalities), dtype=torch.bool)
    loss_of(model, random_rasters(network, 2), present).backward()
    for name, parameter in model.named_parameters():
        learns = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert learns == parameter.requires_grad, name


@pytest.mark.parametrize('change', VARIANTS.values(), ids=VARIANTS)
def test_what_never_learns_has_no_gradient_even_where_it_is_not_frozen(network, change):
    model = MleSam(replace(network, **change)).train().requires_grad_()
    present = torch.ones(2, 3, dtype=torch.bool)
    loss_of(model, random_rasters(network, 2), present).backward()
    named = dict(model.named_parameters())
    assert model.without_gradient() <= named.keys()
    for name in model.without_gradient():
        gradient = named[name].grad
        assert gradient is None or gradient.abs().max() < 1e-6, name


def test_experts_stage_leaves_sam2_as_it_is(network):
    model = MleSam(network)
    model.set_trainable('experts')
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert all('.experts.' in name for name in learning if name.startswith('image_encoder.trunk.'))
    for prefix in (
        'image_encoder.trunk.blocks.0.attn.qkv.weight',
        'image_encoder.trunk.patch_embed',
        'image_encoder.neck',
        'sam_mask_decoder.transformer',
        'sam_prompt_encoder',
    ):
        assert any(name.startswith(prefix) for name in frozen)
        assert not any(name.startswith(prefix) for name in learning)
    for prefix in (
        'fusion.routers',
        'auxiliary_head',
        'sam_mask_decoder.conv_s0',
        'sam_mask_decoder.output_upscaling',
        'sam_mask_decoder.output_hypernetworks_mlps.1',
        'sam_mask_decoder.mask_tokens',
        'image_encoder.input_adapters.lidar',
    ):
        assert any(name.startswith(prefix) for name in learning)


def test_all_learns_where_nothing_is_frozen(network):
    model = MleSam(replace(network, frozen=False))
    assert model.trainable('experts') == {name for name, _ in model.named_parameters()}
    assert network.trunk() == replace(network, frozen=False).trunk()  # so that they may share it


def test_only_what_is_present_is_encoded(network, model, monkeypatch):
    encoded = []
    encode = model.encode

    def noted(raster, name):
        encoded.append((name, len(raster)))
        return encode(raster, name)

    monkeypatch.setattr(model, 'encode', noted)
    present = torch.tensor([[True, False, False], [True, False, True]])
    model(random_rasters(network, 2), present)
    assert encoded == [('camera', 2), ('lidar', 1)]


@torch.inference_mode()
def test_absent_rasters_do_not_matter(network, model):
    rasters, present = random_rasters(network, len(MASKS)), torch.tensor(MASKS)
    expected = model.logits(model(rasters, present))
    for column, name in enumerate(network.modality_names):
        rasters[name][~present[:, column]] = torch.nan
    assert torch.equal(model.logits(model(rasters, present)), expected)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@torch.inference_mode()
def test_half_precision_for_every_subset(network, model, dtype):
    """A modality that no item has is blank in float32 beside features in half precision."""
    rasters, present = random_rasters(network, len(MASKS)), torch.tensor(MASKS)
    for chosen in (present, present[:1]):
        some = {name: raster[: len(chosen)] for name, raster in rasters.items()}
        expected = model.logits(model(some, chosen))
        with torch.autocast('cpu', dtype):
            segmentation = model(some, chosen)
        got = model.logits(_in_float32(segmentation))
        assert segmentation.paths[0][0].dtype == dtype
        assert (got - expected).abs().max() < 0.05 * expected.abs().max()


def _in_float32(segmentation: Segmentation) -> Segmentation:
    paths = tuple([level.float() for level in path] for path in segmentation.paths)
    return Segmentation(paths, segmentation.router_weights_BLM.float())
