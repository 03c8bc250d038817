"""The paper's formulas, in its order, each against a slow reference or a case done by hand.

Experts (low-rank updates, q and v, the three maps of a modality), fusion (average, pooled
embedding, Eq. 9 and softmax, top-k, weighted sum, their combination), decoding (masks, their
enlargement, auxiliary head, final logits) and training (hard pixels, both paths).
"""

from dataclasses import replace
from itertools import product

from mle_sam.auxiliary_head import AuxiliaryHead
from mle_sam.config import COMBINATIONS, MleSamConfig
from mle_sam.datasets.batches import as_item, collate
from mle_sam.decoder import decode_masks
from mle_sam.enlargement import Enlargement
from mle_sam.fusion import Fusion
from mle_sam.losses.ohem import HARD, MIN_SHARE, ohem_cross_entropy
from mle_sam.losses.pixels import IGNORE
from mle_sam.models.mle_sam import MleSam
from mle_sam.objective import Objective
from mle_sam.router import Router
import numpy as np
import pytest
from references import (
    auxiliary_logits,
    enlarged,
    hard_pixels_loss,
    router_weights,
)
from sam2.modeling.backbones.image_encoder import ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
import torch
from torch import nn
from torch.nn import functional as F

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]


# Experts


@pytest.fixture
def experts(network) -> MleSam:
    """A network whose experts are far from their start, without adapters."""
    model = MleSam(replace(network, input_adapters=False)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(('query_up', 'value_up')):
            nn.init.normal_(parameter, std=0.3)
    return model


def plain_copy(model: MleSam) -> ImageEncoder:
    """SAM 2's own image encoder with the network's frozen weights."""
    plain = MleSam(replace(model.config, lora_rank=0)).eval()
    known = {n: value for n, value in model.state_dict().items() if '.experts.' not in n}
    plain.load_state_dict(known)
    encoder = plain.image_encoder
    encoder.neck.position_encoding = PositionEmbeddingSine(model.config.widths.d_model)
    return ImageEncoder(encoder.trunk, encoder.neck, scalp=1).eval()


@torch.inference_mode()
def test_updates_add_to_q_and_v_of_every_block_and_the_maps_follow(experts):
    """Unmerged: W x is SAM 2's, and (B A) x is added to the first and last channels of qkv.

    The maps are then the pyramid's three finest, two of them through the decoder's convolutions.
    """
    config = experts.config
    raster = torch.rand(1, *config.input_hw, 3) * 255
    for spec in config.modalities:
        sam2 = plain_copy(experts)
        for ours, theirs in zip(
            experts.image_encoder.trunk.blocks, sam2.trunk.blocks, strict=True
        ):
            theirs.attn.qkv.register_forward_hook(unmerged(ours.attn.qkv.experts[spec.name]))
        image = (raster - torch.tensor(spec.mean)) / torch.tensor(spec.std)
        fine, intermediate, semantic = sam2(image.permute(0, 3, 1, 2))['backbone_fpn']
        decoder = experts.sam_mask_decoder
        expected = [decoder.conv_s0(fine), decoder.conv_s1(intermediate), semantic]
        for got, wanted in zip(experts.encode(raster, spec.name), expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=2e-4, rtol=1e-3)
        without = experts.image_encoder.trunk.blocks[0].attn.qkv
        assert not torch.allclose(without.merged_weight(spec.name), without.weight)


def unmerged(factors: nn.Module):
    def add_update(_: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor):
        x, rows = inputs[0], len(factors.query_up)
        output = output.clone()
        output[..., :rows] += (x @ factors.query_down.t()) @ factors.query_up.t()
        output[..., -rows:] += (x @ factors.value_down.t()) @ factors.value_up.t()
        return output

    return add_update


# Fusion


ROUTERS = {
    'by default': {},
    'keeping one': {'router_k': 1},
    'keeping all': {'router_k': 3},
    'as the softmax gave them': {'router_renormalise': False},
    'by own features': {'router_input': 'own'},
    'with a hidden layer': {'router_hidden': 5},
    'by own features with a hidden layer': {'router_input': 'own', 'router_hidden': 5},
}


def random_fusion(config: MleSamConfig) -> Fusion:
    fusion = Fusion(config)
    for parameter in fusion.parameters():
        nn.init.normal_(parameter)
    return fusion


def random_levels(config: MleSamConfig, batch: int) -> list[torch.Tensor]:
    """Features (M, B, C, h, w) by level, NaN where a modality of `MASKS` is absent."""
    sizes = zip(config.widths.feature_channels, (8, 4, 2), strict=True)
    levels = [torch.randn(3, batch, channels, side, side) for channels, side in sizes]
    for (item, present), level in product(enumerate(MASKS), levels):
        level[~torch.tensor(present), item] = torch.nan
    return levels


@pytest.mark.parametrize('change', ROUTERS.values(), ids=ROUTERS)
@torch.inference_mode()
def test_router_of_every_level_for_every_subset(network, change):
    """Pooled embeddings, Eq. 9, softmax over what is present, top-k, renormalisation."""
    config = replace(network, **change)
    fusion, levels = random_fusion(config), random_levels(config, len(MASKS))
    _, weights_BLM = fusion(levels, torch.tensor(MASKS))
    for item, present in enumerate(MASKS):
        for index, (router, level) in enumerate(zip(fusion.routers, levels, strict=True)):
            expected = router_weights(router, level[:, item].numpy(), present)
            np.testing.assert_allclose(weights_BLM[item, index], expected, atol=1e-5)


@pytest.mark.parametrize('combination', COMBINATIONS)
@torch.inference_mode()
def test_average_weighted_sum_and_combination_for_every_subset(network, combination):
    config = replace(network, combination=combination)
    fusion, levels = random_fusion(config), random_levels(config, len(MASKS))
    fused, weights_BLM = fusion(levels, torch.tensor(MASKS))
    for (item, present), (index, level) in product(enumerate(MASKS), enumerate(levels)):
        features = level[:, item].numpy()
        here = [m for m in range(3) if present[m]]
        average = sum(features[m] for m in here) / len(here)
        weighted = sum(weights_BLM[item, index, m].item() * features[m] for m in here)
        expected = {
            'mean': (average + weighted) / 2,
            'sum': average + weighted,
            'average': average,
            'weighted': weighted,
        }[combination]
        np.testing.assert_allclose(fused[index][item], expected, atol=1e-5)


def test_router_by_hand(network):
    """Two channels of one pixel, three modalities, everything on paper."""
    router = Router(replace(network, router_k=2), 2)
    with torch.no_grad():
        router.score.weight.zero_()
        router.score.weight[0, 0] = 1.0  # looks at the first modality's first channel
        router.score.weight[2, 5] = 2.0  # looks at the last modality's last channel
        router.score.bias.zero_()
    features = torch.tensor([[3.0, 0.0], [0.0, 9.0], [0.0, 2.0]])[:, None, :, None, None]
    weights = router(features, torch.ones(1, 3, dtype=torch.bool))  # logits 3, 0, 4
    e = np.exp(1.0)
    np.testing.assert_allclose(weights.detach()[0], [1 / (1 + e), 0, e / (1 + e)], atol=1e-6)
    weights = router(features, torch.tensor([[True, True, False]]))  # logits 3, 0
    e = np.exp(3.0)
    np.testing.assert_allclose(weights.detach()[0], [e / (1 + e), 1 / (1 + e), 0], atol=1e-6)


# Decoding


@torch.inference_mode()
def test_a_mask_is_its_hypernetwork_s_product_with_the_upscaled_map(network, model):
    """From what the transformer leaves: upscaling with skips, one hypernetwork per class."""
    decoder, (height, width) = model.sam_mask_decoder, network.input_hw
    channels = network.widths.feature_channels
    fused = [
        torch.randn(2, c, height // s, width // s)
        for c, s in zip(channels, (4, 8, 16), strict=True)
    ]
    left = {}
    hook = decoder.transformer.register_forward_hook(lambda *a: left.update(tokens=a[2]))
    masks = decode_masks(decoder, model.sam_prompt_encoder, fused)
    hook.remove()
    tokens, image = left['tokens']
    first, norm, _, second, _ = decoder.output_upscaling
    image = image.transpose(1, 2).reshape(fused[2].shape)
    image = F.gelu(channel_norm(doubled(image, first) + fused[1], norm))
    image = F.gelu(doubled(image, second) + fused[0])
    assert masks.shape == (2, network.num_classes, height // 4, width // 4)
    for class_id in range(network.num_classes):
        # Before the classes' tokens come those of object score, IoU and the single mask.
        vector = decoder.output_hypernetworks_mlps[class_id + 1](tokens[:, class_id + 3])
        expected = sum(vector[:, c, None, None] * image[:, c] for c in range(vector.shape[1]))
        torch.testing.assert_close(masks[:, class_id], expected, atol=1e-4, rtol=1e-4)


def doubled(image: torch.Tensor, layer: nn.ConvTranspose2d) -> torch.Tensor:
    """Transposed 2x2 convolution, stride 2: a pixel becomes four, each by its own matrix."""
    batch, _, height, width = image.shape
    result = torch.zeros(batch, layer.out_channels, 2 * height, 2 * width)
    for dy, dx in product((0, 1), repeat=2):
        part = torch.einsum('bihw,io->bohw', image, layer.weight[:, :, dy, dx])
        result[:, :, dy::2, dx::2] = part + layer.bias[:, None, None]
    return result


def channel_norm(image: torch.Tensor, norm: nn.Module) -> torch.Tensor:
    centred = image - image.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + norm.eps).sqrt()
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def test_masks_are_enlarged_four_times():
    masks = torch.randn(1, 1, 4, 6)
    expected = enlarged(masks[0, 0].numpy(), 4)
    np.testing.assert_allclose(Enlargement((16, 24))([masks])[0, 0], expected, atol=1e-5)


@torch.inference_mode()
def test_auxiliary_head_fuses_at_the_input_s_size():
    channels, input_hw = (4, 8, 16), (32, 64)
    head = AuxiliaryHead(channels, num_classes=5, width=6, dropout=0.1).eval()
    nn.init.normal_(head.fuse.bias)
    nn.init.normal_(head.predict.bias)
    fused = [
        torch.randn(2, c, 32 // scale, 64 // scale)
        for c, scale in zip(channels, (4, 8, 16), strict=True)
    ]
    torch.testing.assert_close(
        Enlargement(input_hw)(head(fused)), auxiliary_logits(head, fused), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize('has_auxiliary', [True, False])
@torch.inference_mode()
def test_final_logits_are_the_mean_of_both_paths(network, has_auxiliary):
    model = MleSam(replace(network, auxiliary_head=has_auxiliary)).eval()
    rasters = {name: torch.rand(2, *network.input_hw, 3) for name in network.modality_names}
    present = torch.tensor([[True, True, True], [False, True, False]])
    segmentation = model(rasters, present)
    expected = F.interpolate(segmentation.paths[0][0], scale_factor=4, mode='bilinear')
    if has_auxiliary:
        fused, _ = model.fusion(encoded(model, rasters), present)
        expected = (expected + auxiliary_logits(model.auxiliary_head, fused)) / 2
    torch.testing.assert_close(model.logits(segmentation), expected, atol=1e-4, rtol=1e-4)


def encoded(model: MleSam, rasters: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    maps = [model.encode(raster, name) for name, raster in rasters.items()]
    return [torch.stack(level) for level in zip(*maps, strict=True)]


# Training


def logits_with_losses(losses: torch.Tensor) -> torch.Tensor:
    """Logits of two classes, (1, 2, H, W), whose cross-entropy for class 0 is given."""
    return torch.stack([torch.zeros_like(losses), losses.expm1().log()])[None]


@pytest.mark.parametrize(
    ('num_hard', 'counted'),
    [
        (10, 10),  # more than the floor of 64 / 16: all the hard ones
        (4, 4),  # as many
        (3, 4),  # fewer: the hardest 4
        (0, 4),
    ],
)
def test_hard_pixels_by_hand(num_hard, counted):
    assert MIN_SHARE == 16
    losses = torch.linspace(0.9, 0.1, 64) * HARD
    losses[:num_hard] = HARD + torch.linspace(3.0, 1.0, num_hard)
    shuffled = losses[torch.randperm(64)].reshape(8, 8)
    loss = ohem_cross_entropy(logits_with_losses(shuffled), torch.zeros(1, 8, 8, dtype=torch.long))
    assert loss.item() == pytest.approx(losses[:counted].mean().item(), rel=1e-4)


@pytest.mark.parametrize('confidence', [0.1, 3.0, 30.0])
def test_hard_pixels_against_loops(confidence):
    labels = torch.randint(0, 4, (2, 8, 8))
    logits = F.one_hot(labels, 4).permute(0, 3, 1, 2) * confidence
    logits = logits + 0.1 * torch.randn(logits.shape)
    labels[0, :3] = IGNORE
    assert ohem_cross_entropy(logits, labels).item() == pytest.approx(
        hard_pixels_loss(logits, labels), rel=1e-4
    )


@pytest.mark.parametrize('weight', [0.0, 0.1, 1.0])
@torch.no_grad()
def test_the_loss_is_that_of_the_masks_and_lambda_times_the_auxiliary_one(
    model, network, dataset, recipe, weight
):
    batch = collate([as_item(dataset[index], network) for index in (0, 1)])
    objective = Objective(model, replace(recipe.experts, auxiliary_weight=weight))
    segmentation = model(batch.rasters, batch.present)
    masks = F.interpolate(segmentation.paths[0][0], scale_factor=4, mode='bilinear')
    fused, _ = model.fusion(encoded(model, batch.rasters), batch.present)
    labels = batch.labels.long()
    expected = hard_pixels_loss(masks, labels)
    expected += weight * hard_pixels_loss(auxiliary_logits(model.auxiliary_head, fused), labels)
    assert objective(batch, 0).item() == pytest.approx(expected, rel=1e-4)


def test_a_batch_without_labels_teaches_nothing(model, network, dataset, recipe):
    batch = collate([as_item(dataset[index], network) for index in (0, 1)])
    batch = batch._replace(labels=torch.full_like(batch.labels, IGNORE))
    loss = Objective(model, recipe.experts)(batch, 0)
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad.abs().max() == 0 for p in model.parameters() if p.grad is not None)
