"""What only one of the networks does, against its definition; test_networks has more of it."""

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.cmnext_config import CmnextConfig
from mle_sam.models.ad_sam import Fusion, UpStage
from mle_sam.models.build import build_network
from mle_sam.models.cmnext import Hub, PoolingMixer
from mle_sam.models.cmx import FeatureFusion, Rectification
from mle_sam.models.cwsam import Cwsam
from mle_sam.models.sam_vit import embed_patches, encode_image
from mle_sam.models.ts_sam import FeatureFusion as FusionDecoder
from mle_sam.models.ts_sam import Refinement, SideAdapter, TsSam
from mle_sam.vit_config import CwsamConfig, TsSamConfig
import pytest
from references import enlarged
import torch
from torch import nn
from torch.nn import functional as F
from toy import HW


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def given(network, num_modalities: int) -> tuple:
    return HW, network.modalities[:num_modalities], network.classes


def shuffled(module: nn.Module) -> nn.Module:
    """In evaluation, with weights and statistics that hide nothing: none is 0, 1 or tiny."""
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        if name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_(0, 0.3)
    return module.eval()


def inputs_of(module: nn.Module) -> list[torch.Tensor]:
    """What it is given from now on, call by call."""
    seen: list[torch.Tensor] = []
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    return seen


def outputs_of(module: nn.Module) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    module.register_forward_hook(lambda _, arguments, output: seen.append(output))
    return seen


# TS-SAM


@pytest.fixture
def ts_sam(network) -> TsSam:
    config = TsSamConfig(*given(network, 1), size='nano', side_width=16, refined_width=8)
    return build_network(config).eval()


def test_a_side_adapter_adds_on_and_narrows_the_sum():
    adapter = shuffled(SideAdapter(6, 4, 3))
    features, stream = torch.randn(2, 6, 3, 5), torch.randn(2, 4, 3, 5)

    def layer(part: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        """ReLU(BN(1x1 x)) of one pixel."""
        convolution, norm, _ = part
        y = convolution.weight[:, :, 0, 0] @ x + convolution.bias
        y = (y - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
        return (norm.weight * y + norm.bias).clamp(min=0)

    narrowed, summed = adapter(features, stream)
    for item, row, column in ((0, 0, 0), (1, 2, 4)):
        y = features[item, :, row, column] + layer(adapter.widen, stream[item, :, row, column])
        torch.testing.assert_close(summed[item, :, row, column], y)
        torch.testing.assert_close(narrowed[item, :, row, column], layer(adapter.narrow, y))


def test_adapters_at_zero_leave_sam_as_it_is(ts_sam):
    for adapter in ts_sam.side_adapters:
        nn.init.zeros_(adapter.widen[1].weight)  # of the norm; its bias is 0
    raster, seen = torch.rand(1, *HW, 3) * 255, inputs_of(ts_sam.fusion)
    features = outputs_of(ts_sam.image_encoder.neck)
    ts_sam.encode(raster, 'camera')
    image = ts_sam.normalise(raster, 'camera')
    assert torch.equal(features[0], encode_image(ts_sam.image_encoder, image))
    assert seen[0].abs().max() > 0  # while the stream says something of its own


def test_the_stream_goes_back_to_sam_but_not_before_the_first_block(ts_sam):
    vit, raster = ts_sam.image_encoder, torch.rand(1, *HW, 3) * 255
    first, second = inputs_of(vit.blocks[0]), inputs_of(vit.blocks[1])
    ts_sam.encode(raster, 'camera')
    tokens = embed_patches(vit, ts_sam.normalise(raster, 'camera'))
    assert torch.equal(first[0], tokens)
    assert (second[0] - vit.blocks[0](tokens)).abs().max() > 1e-3


def test_refinement_is_summed_over_blocks(ts_sam):
    parts = [outputs_of(refinement) for refinement in ts_sam.refinements]
    fused: list = []
    ts_sam.fusion.register_forward_pre_hook(lambda _, arguments: fused.extend(arguments[1]))
    ts_sam.encode(torch.rand(1, *HW, 3) * 255, 'camera')
    for scale, size_hw in enumerate(((16, 32), (8, 16))):  # quarters, eighths
        assert fused[scale].shape[2:] == size_hw
        total = sum(outputs[0][scale] for outputs in parts)
        torch.testing.assert_close(fused[scale], total)


def test_gates_at_zero_silence_the_refinement():
    refinement, features = shuffled(Refinement(6, 4)), torch.randn(1, 6, 3, 5)
    assert all(scale.abs().max() > 0 for scale in refinement(features))
    for branch in (refinement.to_quarter, refinement.to_eighth):
        nn.init.zeros_(branch[-1].second.weight)
    assert all(scale.abs().max() == 0 for scale in refinement(features))


def stretched(side: int) -> torch.Tensor:
    """(2 side, side): to twice as many places in equal steps from the first one to the last."""
    matrix = torch.zeros(2 * side, side)
    for row, place in enumerate(torch.linspace(0, side - 1, 2 * side).tolist()):
        low = min(int(place), side - 2)
        matrix[row, low : low + 2] = torch.tensor([low + 1 - place, place - low])
    return matrix


def test_fusion_goes_up_beside_each_finer_map_twice():
    fusion = shuffled(FusionDecoder(4, 3))
    coarse, eighth, quarter = (
        torch.randn(1, channels, height, 2 * height)
        for channels, height in ((8, 2), (4, 4), (4, 8))
    )
    x = fusion.coarse(coarse)
    for finer, narrow, (first, second) in (
        (eighth, fusion.eighth, fusion.join_eighth),
        (quarter, fusion.quarter, fusion.join_quarter),
    ):
        tiles = narrow(finer).unfold(2, 2, 2).unfold(3, 2, 2)
        x = first(torch.cat([x, tiles.amax((4, 5)) + tiles.mean((4, 5))], 1))
        x = stretched(x.shape[2]) @ x @ stretched(x.shape[3]).t()
        x = second(torch.cat([x, finer], 1))
    expected = fusion.classify(x)
    assert expected.shape == (1, 3, 8, 16)
    torch.testing.assert_close(fusion(coarse, [quarter, eighth]), expected, atol=1e-5, rtol=1e-4)


# CWSAM


@pytest.fixture
def cwsam(network) -> Cwsam:
    return build_network(CwsamConfig(*given(network, 2), size='nano')).eval()


def test_adapters_and_prompts_at_zero_leave_sam_as_it_is(cwsam):
    for pairs in cwsam.adapters.values():
        for after, beside in pairs:
            for adapter in (after, beside):
                nn.init.zeros_(adapter.up.weight)
                nn.init.zeros_(adapter.up.bias)
    for prompts in cwsam.prompts.values():
        nn.init.zeros_(prompts.widen.weight)
        nn.init.zeros_(prompts.widen.bias)
    raster, seen = torch.rand(1, *HW, 3) * 255, inputs_of(cwsam.mask_decoders['event'])
    cwsam.encode(raster, 'event')
    expected = encode_image(cwsam.image_encoder, cwsam.normalise(raster, 'event'))
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-5)


def test_each_block_has_its_prompt_and_its_adapters(cwsam):
    raster = torch.rand(1, *HW, 3) * 255
    before = cwsam.encode(raster, 'camera')[0]
    for prompts in cwsam.prompts.values():
        assert len(prompts.of_blocks) == len(cwsam.image_encoder.blocks)
    last = len(cwsam.image_encoder.blocks) - 1
    for change in (
        cwsam.adapters['camera'][last][0].up.bias,  # beside the window attention
        cwsam.adapters['camera'][last][1].up.bias,  # beside the perceptron
        cwsam.prompts['camera'].of_blocks[last].bias,
    ):
        # Noise: the neck's norm hides what is the same for all channels.
        kept = change.clone()
        change.add_(torch.randn_like(change))
        assert (cwsam.encode(raster, 'camera')[0] - before).abs().max() > 1e-6
        change.copy_(kept)
    cwsam.adapters['event'][last][0].up.bias.normal_()
    assert torch.equal(cwsam.encode(raster, 'camera')[0], before)


def through(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    return x @ layer.weight.t() + layer.bias


def bent(x: torch.Tensor) -> torch.Tensor:
    """GELU."""
    return x * (1 + torch.erf(x / 2**0.5)) / 2


def prompts_by_hand(cwsam: Cwsam, modality: str, image: torch.Tensor) -> list[torch.Tensor]:
    """From patches without their positions and from the high frequencies, tile by tile."""
    part = cwsam.prompts[modality]
    tiles = cwsam.high_pass(image).unfold(2, 16, 16).unfold(3, 16, 16)
    details = torch.einsum('bchwij,ocij->bhwo', tiles, part.of_details.weight)
    seen = details + part.of_details.bias
    seen = seen + through(part.of_patches, cwsam.image_encoder.patch_embed(image))
    return [through(part.widen, bent(through(block, seen))) for block in part.of_blocks]


def test_blocks_with_their_prompts_and_adapters_by_hand(cwsam):
    """Two blocks within windows and one over the frame, from what SAM's own parts say in them."""
    shuffled(cwsam.adapters)
    shuffled(cwsam.prompts)
    raster, vit = torch.rand(1, *HW, 3) * 255, cwsam.image_encoder
    blocks = vit.blocks[:3]
    starts = [inputs_of(block.norm1) for block in blocks]
    attended = [outputs_of(block.attn) for block in blocks]
    middles = [inputs_of(block.norm2) for block in blocks]
    normal, perceived = ([outputs_of(getattr(b, n)) for b in blocks] for n in ('norm2', 'mlp'))
    cwsam.encode(raster, 'event')
    image = cwsam.normalise(raster, 'event')
    tokens, prompts = embed_patches(vit, image), prompts_by_hand(cwsam, 'event', image)
    assert prompts[0].shape == tokens.shape == (1, 4, 8, 192)
    assert cwsam.prompts['event'].widen.in_features == 192 // 32
    for index, pair in enumerate(cwsam.adapters['event'][:3]):
        torch.testing.assert_close(starts[index][0], tokens + prompts[index], atol=1e-3, rtol=1e-4)
        tokens, (attention,) = starts[index][0], attended[index]
        if blocks[index].window_size:  # two windows side by side, filled up below and on the right
            attention = torch.cat(list(attention), 1)[None, :4, :8]
        after, beside = (
            through(adapter.up, bent(through(adapter.down, x)))
            for adapter, x in zip(pair, (attention, normal[index][0]), strict=True)
        )
        middle = tokens + attention + after
        torch.testing.assert_close(middles[index][0], middle, atol=1e-3, rtol=1e-4)
        tokens = middle + perceived[index][0] + beside / 2
        assert [adapter.down.out_features for adapter in pair] == [192 // 4] * 2


def test_the_decoder_joins_its_map_before_and_after_the_transformer(cwsam):
    decoder, prompt, kept = cwsam.mask_decoders['event'], cwsam.prompt_encoder, {}
    features, joined = inputs_of(decoder), inputs_of(decoder.class_upscaling)
    asked = inputs_of(decoder.output_hypernetworks_mlps[0])
    decoder.transformer.register_forward_hook(lambda _, given, left: kept.update(all=given + left))
    cwsam.encode(torch.rand(1, *HW, 3) * 255, 'event')
    before, position, tokens, hidden, after = kept['all']
    expected = features[0] + prompt.no_mask_embed.weight[0, :, None, None]
    torch.testing.assert_close(before, expected)
    torch.testing.assert_close(position[0], prompt.pe_layer((4, 8)))
    assert torch.equal(
        tokens[0], torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    )
    assert torch.equal(asked[0], hidden[:, 1])  # not what is of the IoU's token
    after = after[0].t().reshape(before.shape)
    enlarged = [decoder.output_upscaling(x) for x in (after, before)]
    torch.testing.assert_close(joined[0], torch.cat(enlarged, 1))


def test_a_class_is_the_token_times_its_maps(cwsam):
    decoder = cwsam.mask_decoders['camera']
    maps, tokens = (
        outputs_of(decoder.class_upscaling),
        outputs_of(decoder.output_hypernetworks_mlps[0]),
    )
    (masks,) = cwsam.encode(torch.rand(1, *HW, 3) * 255, 'camera')
    num_classes, width = masks.shape[1], tokens[0].shape[1]
    assert maps[0].shape[1] == num_classes * width
    for class_id, row, column in ((0, 0, 0), (1, 5, 7), (2, 15, 31)):
        expected = sum(
            tokens[0][0, c] * maps[0][0, c * num_classes + class_id, row, column]
            for c in range(width)
        )
        torch.testing.assert_close(masks[0, class_id, row, column], expected, atol=1e-6, rtol=1e-4)


# CMNeXt


def test_a_hub_of_one_sensor_asks_nothing():
    hub, x = shuffled(Hub(4, ('depth',), 4, [])), torch.randn(1, 4, 5, 6)
    is_there = torch.ones(1, 1, 1, 1, 1, dtype=torch.bool)
    (stream,), joint = hub({'depth': x}, is_there)
    assert not len(hub.queries)
    assert torch.equal(stream, x)
    assert torch.equal(joint, hub.norm(x))


def test_pooling_mixer_pixel_by_pixel():
    mixer, x = shuffled(PoolingMixer(4, 3, 0.1)), torch.randn(1, 4, 5, 14)
    normal = mixer.norm_1(x)
    spread = F.conv2d(normal, mixer.spread.weight, mixer.spread.bias, padding=3, groups=4)
    pooled = torch.zeros_like(spread)
    for row in range(5):
        for column in range(14):
            near = [
                spread[0, :, max(row - r, 0) : row + r + 1, max(column - r, 0) : column + r + 1]
                for r in (1, 3, 5)  # windows of 3, 7 and 11; what is beyond the frame is no pixel
            ]
            means = sum(window.mean((1, 2)) for window in near)
            pooled[0, :, row, column] = spread[0, :, row, column] + means
    share = torch.einsum('oc,bchw->bohw', mixer.mix.weight[:, :, 0, 0], pooled)
    share = (share + mixer.mix.bias[:, None, None]).sigmoid()
    y = x + mixer.scale_1 * (normal + share * normal)
    weight, mean = mixer.of_channels.weight[0, 0], F.pad(y.mean((2, 3))[0], (1, 1))
    of_channel = torch.stack([weight @ mean[c : c + 3] for c in range(4)]).sigmoid()
    expected = of_channel[:, None, None] * y + mixer.scale_2 * mixer.perceptron(mixer.norm_2(y))
    torch.testing.assert_close(mixer(x), expected, atol=1e-5, rtol=1e-4)


def test_rectification_channel_by_channel_and_pixel_by_pixel():
    module = shuffled(Rectification(3))
    one, other = torch.randn(2, 1, 3, 4, 5)
    mean, top = torch.cat([one, other], 1).mean((2, 3)), torch.cat([one, other], 1).amax((2, 3))
    channels = module.of_channels(torch.cat([mean, top], 1))[0].sigmoid()
    pixels = module.of_pixels(torch.cat([one, other], 1))[0].sigmoid()
    got_one, got_other = module(one, other)
    for c, row, column in ((0, 0, 0), (1, 2, 3), (2, 3, 4)):
        a, b = one[0, c, row, column], other[0, c, row, column]
        # Weights of the first half belong to the first stream, which the second one hears.
        expected = a + 0.5 * channels[3 + c] * b + 0.5 * pixels[1, row, column] * b
        torch.testing.assert_close(got_one[0, c, row, column], expected)
        expected = b + 0.5 * channels[c] * a + 0.5 * pixels[0, row, column] * a
        torch.testing.assert_close(got_other[0, c, row, column], expected)


def test_fusion_attends_across_with_a_context_per_head():
    module, heads = shuffled(FeatureFusion(6, 2)), 2
    maps = torch.randn(2, 1, 6, 3, 4)
    pixels = [x[0].flatten(1).t() for x in maps]  # (N, C)
    own, shown, contexts = [], [], []
    for path, x in zip(module.paths, pixels, strict=True):
        kept, told = path.project(x).relu().chunk(2, 1)
        own.append(kept)
        shown.append(told)
        keys, values = path.key_value(told).chunk(2, 1)
        contexts.append(
            [
                (
                    (keys[:, h * 3 : h * 3 + 3].t() @ values[:, h * 3 : h * 3 + 3]) * 3**-0.5
                ).softmax(0)
                for h in range(heads)
            ]
        )
    joined = []
    for index, path in enumerate(module.paths):
        other = contexts[1 - index]
        attended = [shown[index][:, h * 3 : h * 3 + 3] @ other[h] for h in range(heads)]
        end = path.end(torch.cat([own[index], *attended], 1))
        joined.append(path.norm(pixels[index] + end))
    both = torch.cat(joined, 1).t().reshape(1, 12, 3, 4)
    expected = module.norm(module.shortcut(both) + module.embed(both))
    torch.testing.assert_close(module(*maps), expected, atol=1e-5, rtol=1e-4)


def test_the_fused_map_is_added_to_every_stream(network):
    config = CmnextConfig(*given(network, 3), size='nano')
    model = shuffled(build_network(config))
    streams, joint = outputs_of(model.hubs[0]), outputs_of(model.rectifications[0])
    next_patches = inputs_of(model.shrinkers[1])
    present = torch.ones(1, 3, dtype=torch.bool)
    model({name: torch.rand(1, *HW, 3) for name in config.modality_names}, present)
    for stream, patches in zip(streams[0][0], next_patches, strict=True):
        torch.testing.assert_close(patches, stream + joint[0][1])


# AD-SAM


@pytest.mark.parametrize('encoder', ['vit', 'hiera'])
def test_the_decoder_meets_the_resnet_from_the_end(network, encoder):
    config = AdSamConfig(
        *given(network, 1),
        encoder=encoder,
        size='nano',
        backbone='resnet18',
        freeze_statistics=False,
        widths=(32, 16, 16),
    )
    model = build_network(config).eval()
    maps = outputs_of(model.backbone)
    fused = inputs_of(model.fusion)
    skips = [inputs_of(stage.skip) for stage in model.stages]
    outputs = [outputs_of(stage) for stage in model.stages]
    raster = torch.rand(1, *HW, 3) * 255
    model.encode(raster, 'camera')
    assert torch.equal(fused[0], model.embed(raster, 'camera'))
    for skip, layer in zip(skips, ('layer3', 'layer2', 'layer1'), strict=True):
        size_hw = skip[0].shape[2:]
        assert torch.equal(skip[0], F.interpolate(maps[0][layer], size_hw, mode='bilinear'))
    sizes = [tuple(output[0].shape[1:]) for output in outputs]
    assert sizes == [(32, 8, 16), (16, 16, 32), (16, 16, 32)]  # 1/8, 1/4, 1/4 of the input


def twice_as_large(x_1CHW: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.from_numpy(enlarged(c.numpy(), 2)) for c in x_1CHW[0]])[None].float()


@pytest.mark.parametrize('enlarges', [True, False])
def test_a_stage_joins_its_map_and_what_it_sees_of_the_skip(enlarges):
    stage = shuffled(UpStage(8, 16, 32, enlarges, 2))
    seen, x = inputs_of(stage.join), torch.randn(1, 8, 3, 4)
    before = twice_as_large(x) if enlarges else x
    skip = torch.randn(1, 32, *before.shape[2:])
    stage(x, skip)
    convolution, norm, _ = stage.skip
    expected = torch.cat([before, bent(norm(convolution(skip)))], 1)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-4)
    assert [type(layer).__name__ for layer in stage.join] == 2 * [
        'DeformableConv',
        'GroupNorm',
        'GELU',
    ]


def test_fusion_weighs_the_channels_of_what_it_joined():
    fusion = shuffled(Fusion(8, 16, 2, 2))
    embedding, last = torch.randn(1, 8, 4, 6), torch.randn(1, 16, 2, 3)
    seen, joined = inputs_of(fusion.join), outputs_of(fusion.join)
    got = fusion(embedding, last)
    expected = torch.cat([embedding, fusion.narrow(twice_as_large(last))], 1)
    torch.testing.assert_close(seen[0], expected, atol=1e-5, rtol=1e-4)
    expected = bent(fusion.attention(fusion.norm(joined[0])))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
