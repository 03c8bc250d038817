from itertools import product

from mle_sam.loss import ohem_cross_entropy
from mle_sam.model import MleSam
import pytest
import torch

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]


def random_rasters(network, batch: int) -> dict[str, torch.Tensor]:
    return {name: torch.rand(batch, *network.input_hw, 3) * 9 for name in network.modality_names}


def loss_of(model: MleSam, rasters, present) -> torch.Tensor:
    segmentation = model(rasters, present)
    labels = torch.randint(0, 3, (len(present), *model.config.input_hw))
    masks = model.enlarge([segmentation.mask_logits_BKHW])
    auxiliary = model.enlarge(segmentation.auxiliary_logits)
    return ohem_cross_entropy(masks, labels) + ohem_cross_entropy(auxiliary, labels)


@pytest.mark.parametrize('stage', ['trunk', 'experts'])
def test_gradients_reach_all_that_learns_and_nothing_else(recipe, stage):
    network = recipe.network_of(stage)
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
