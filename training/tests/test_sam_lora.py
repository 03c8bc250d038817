"""SAM-LoRA: a network per modality, whose masks are averaged."""

from dataclasses import replace

from mle_sam.decoder import decode_masks
from mle_sam.export.bundle import golden_arrays
from mle_sam.export.plain import PlainDecodeGraph, PlainEncoderGraph
from mle_sam.models.build import build_network
from mle_sam.models.sam_lora import SamLora
from mle_sam.models.sam_vit import build_vit
from mle_sam.pretrained import load_pretrained, start_from
from mle_sam.vit_config import SamLoraConfig
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
import torch
from toy import HW


@pytest.fixture(scope='module')
def config(network) -> SamLoraConfig:
    return SamLoraConfig(HW, network.modalities, network.classes, size='nano', lora_rank=4)


@pytest.fixture
def sam_lora(config) -> SamLora:
    """A network whose updates differ from each other and from nothing."""
    built = build_network(config).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if '.experts.' in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return built


def some_rasters(config, batch: int) -> dict[str, torch.Tensor]:
    return {name: torch.rand(batch, *HW, 3) * 9 for name in config.modality_names}


@torch.inference_mode()
def test_the_result_is_the_mean_of_the_masks_that_are_there(sam_lora, config):
    rasters = some_rasters(config, 2)
    present = torch.tensor([[True, True, True], [True, False, True]])
    rasters['event'][1] = torch.nan
    segmentation = sam_lora(rasters, present)
    masks = {
        name: sam_lora.encode(rasters[name][row : row + 1], name)[0][0]
        for row, name in ((1, 'camera'), (1, 'lidar'))
    }
    expected = (masks['camera'] + masks['lidar']) / 2
    ((mask_BKhw,),) = segmentation.paths
    torch.testing.assert_close(mask_BKhw[1], expected)
    torch.testing.assert_close(
        segmentation.router_weights_BLM, torch.tensor([[[1 / 3] * 3], [[0.5, 0, 0.5]]])
    )
    assert sam_lora.logits(segmentation).shape == (2, 3, *HW)


def test_without_updates_the_encoder_is_sam_s_own(config):
    """At their zero start; with as many patches as SAM was made for."""
    square = replace(config, input_hw=(448, 448))
    model = build_network(square).eval()
    image = torch.rand(1, 3, 448, 448)
    with torch.inference_mode():
        for layer in model.lora_layers:
            layer.active = 'camera'
        raster = image.permute(0, 2, 3, 1) * model.normalise.std('camera')
        got = model.encode(raster + model.normalise.mean('camera'), 'camera')
        own = model.image_encoder(image)
        expected = decode_masks(model.mask_decoders['camera'], model.prompt_encoder, [own])
    torch.testing.assert_close(got[0], expected, atol=1e-4, rtol=1e-4)


def test_only_updates_and_decoders_learn(sam_lora, config):
    sam_lora.set_trainable('experts')
    segmentation = sam_lora(some_rasters(config, 2), torch.ones(2, 3, dtype=torch.bool))
    sam_lora.logits(segmentation).square().mean().backward()
    for name, parameter in sam_lora.named_parameters():
        is_sam_s = (
            name.startswith(('image_encoder.', 'prompt_encoder.')) or '.transformer.' in name
        )
        if is_sam_s and '.experts.' not in name:
            assert parameter.grad is None, name
        elif parameter.requires_grad:
            assert parameter.grad.abs().max() > 0, name


def test_everything_learns_in_the_trunk(config):
    trunk = build_network(config.trunk())
    assert trunk.config.modality_names == ('camera',)
    assert not trunk.lora_layers
    trunk.set_trainable('trunk')
    assert trunk.image_encoder.patch_embed.proj.weight.requires_grad


@torch.inference_mode()
def test_graphs_say_what_the_network_says(sam_lora, rasters):
    golden = golden_arrays(sam_lora, rasters)
    names = sam_lora.config.modality_names
    encoded = [
        PlainEncoderGraph(sam_lora, name).eval()(torch.from_numpy(rasters[name])[None])
        for name in names
    ]
    levels = [torch.cat(level) for level in zip(*encoded, strict=True)]
    decoder = PlainDecodeGraph(sam_lora).eval()
    for subset in ('camera+event+lidar', 'camera', 'event+lidar'):
        present = torch.tensor([name in subset for name in names])
        label_map, confidence, weights = (part.numpy() for part in decoder(*levels, present))
        assert (label_map == golden[f'label_map/{subset}']).mean() > 0.999
        assert np.abs(confidence.astype(int) - golden[f'confidence/{subset}']).max() <= 1
        np.testing.assert_allclose(weights, golden[f'router_weights/{subset}'], atol=1e-6)


def official_sam(config) -> Sam:
    """`segment_anything`'s own model, as published files hold its state, in our smallest size."""
    size = config.widths
    side = size.position_side
    transformer = TwoWayTransformer(2, size.d_model, size.decoder_heads, size.decoder_mlp)
    return Sam(
        build_vit(size),
        PromptEncoder(size.d_model, (side, side), (16 * side, 16 * side), mask_in_chans=16),
        MaskDecoder(transformer_dim=size.d_model, transformer=transformer),
    ).eval()


@torch.inference_mode()
def test_an_official_checkpoint_gives_sam_s_own_masks(config, tmp_path):
    """Its three masks, where there are three classes and as many patches as it was made for."""
    sam = official_sam(config)
    torch.save(sam.state_dict(), tmp_path / 'sam.pth')
    model = build_network(replace(config, input_hw=(448, 448))).eval()
    report = load_pretrained(model, tmp_path / 'sam.pth')
    assert report.looks_like == 'SAM nano'
    assert all('.experts.' in name for name in report.new)
    assert all('point_embeddings' in n or 'mask_downscaling' in n for n in report.left)
    raster = torch.rand(1, 448, 448, 3) * 255
    features = sam.image_encoder(model.normalise(raster, 'camera'))
    sparse, dense = sam.prompt_encoder(points=None, boxes=None, masks=None)
    position = sam.prompt_encoder.get_dense_pe()
    expected, _ = sam.mask_decoder(features, position, sparse, dense, multimask_output=True)
    (got,) = model.encode(raster, 'camera')
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


def test_more_classes_start_as_the_masks_in_turn(config, tmp_path):
    sam = official_sam(config)
    torch.save(sam.state_dict(), tmp_path / 'sam.pth')
    more = replace(config, classes=(*config.classes, *config.classes))
    model = build_network(more)
    load_pretrained(model, tmp_path / 'sam.pth')
    state, tokens = model.state_dict(), sam.mask_decoder.mask_tokens.weight
    for mask in range(7):
        got = state[f'mask_decoders.lidar.output_hypernetworks_mlps.{mask}.layers.1.bias']
        perceptron = sam.mask_decoder.output_hypernetworks_mlps[mask % 4]
        assert torch.equal(got, perceptron.layers[1].bias)
        difference = state['mask_decoders.event.mask_tokens.weight'][mask] - tokens[mask % 4]
        assert difference.abs().max() < 0.1 * tokens.std()


def test_experts_start_from_a_trunk(config):
    trunk, model = build_network(config.trunk()), build_network(config)
    report = start_from(model, trunk.state_dict())
    assert report.left == []
    for name in config.modality_names:
        got = model.mask_decoders[name].output_upscaling[0].weight
        assert torch.equal(got, trunk.mask_decoders['camera'].output_upscaling[0].weight)


def test_sam_2_is_refused(config):
    with pytest.raises(InputError, match=r'expected the weights of SAM nano, got SAM of an unkno'):
        start_from(build_network(config), {'sam_mask_decoder.iou_token.weight': torch.zeros(1)})
