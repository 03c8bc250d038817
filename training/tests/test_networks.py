"""What holds for every network, and what only one of them does, against a slow reference."""

from dataclasses import replace

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.cmnext_config import CmnextConfig
from mle_sam.config import NetworkConfig, plain_network
from mle_sam.export.bundle import golden_arrays
from mle_sam.export.plain import PlainDecodeGraph, PlainEncoderGraph
from mle_sam.models.ad_sam import AdSam, ChannelAttention
from mle_sam.models.build import build_network
from mle_sam.models.cmnext import Cmnext, Hub
from mle_sam.models.deformable import DeformableConv
from mle_sam.models.high_pass import HighPass
from mle_sam.models.ts_sam import Gate, TsSam
from mle_sam.pretrained import start_from
from mle_sam.vit_config import CwsamConfig, SamLoraConfig, TsSamConfig
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from toy import HW

FROZEN = ('image_encoder.', 'prompt_encoder.')


def nano_configs(network) -> dict[str, NetworkConfig]:
    several = (HW, network.modalities, network.classes)
    camera = (HW, network.modalities[:1], network.classes)
    ad_sam = {'backbone': 'resnet18', 'freeze_statistics': False, 'widths': (32, 16, 16)}
    return {
        'sam_lora': SamLoraConfig(*several, size='nano', lora_rank=4),
        'cwsam': CwsamConfig(*several, size='nano'),
        'ts_sam': TsSamConfig(*camera, size='nano', side_width=32, refined_width=16),
        'ad_sam': AdSamConfig(*camera, size='nano', **ad_sam),
        'ad_sam_hiera': AdSamConfig(*camera, size='nano', encoder='hiera', **ad_sam),
        'cmnext': CmnextConfig(*several, size='nano'),
    }


@pytest.fixture(
    params=['sam_lora', 'cwsam', 'ts_sam', 'ad_sam', 'ad_sam_hiera', 'cmnext'], scope='module'
)
def config(request, network) -> NetworkConfig:
    return nano_configs(network)[request.param]


def some_rasters(config, batch: int) -> dict[str, torch.Tensor]:
    return {name: torch.rand(batch, *HW, 3) * 9 for name in config.modality_names}


@torch.inference_mode()
def test_every_subset_gives_masks(config):
    model, names = build_network(config).eval(), config.modality_names
    present = torch.tensor([[True] * len(names), [name != 'event' for name in names]])
    rasters = some_rasters(config, 2)
    if 'event' in rasters:
        rasters['event'][1] = torch.nan
    segmentation = model(rasters, present)
    logits = model.logits(segmentation)
    assert logits.shape == (2, 3, *HW)
    assert logits.isfinite().all()
    weights = segmentation.router_weights_BLM
    assert weights.shape == (2, config.router_levels, len(names))
    torch.testing.assert_close(weights.sum(2), torch.ones(2, config.router_levels))
    assert (weights[:, 0] > 0).equal(present)


def test_what_learns_gets_a_gradient_and_nothing_else_does(config):
    model = build_network(config).train()
    model.set_trainable('experts')
    model.enlarge(list(loss_path(model, config))).square().mean().backward()
    for name, parameter in model.named_parameters():
        if name.startswith(FROZEN) and '.experts.' not in name:
            assert parameter.grad is None, name
        elif parameter.requires_grad:
            assert parameter.grad is not None, name
            # Updates that start at zero pass nothing on to what stands before them.
            starts_at_zero = '.experts.' in name or '.offset.' in name or '.share.' in name
            assert starts_at_zero or parameter.grad.abs().max() > 0, name
    assert model.trainable('experts')


def loss_path(model, config) -> list[torch.Tensor]:
    names = config.modality_names
    segmentation = model(some_rasters(config, 2), torch.ones(2, len(names), dtype=torch.bool))
    (path,) = segmentation.paths
    return path


def test_what_is_frozen_starts_from_the_stage_before(config):
    if not config.has_frozen_part:
        pytest.skip('nothing of it is frozen')
    trunk, model = build_network(config.trunk()), build_network(config)
    start_from(model, trunk.state_dict())
    given = trunk.state_dict()
    for name, value in model.state_dict().items():
        if name.startswith(FROZEN) and '.experts.' not in name:
            assert torch.equal(value, given[name]), name


@torch.inference_mode()
def test_graphs_say_what_the_network_says(config, rasters):
    model = build_network(config).eval()
    rasters = {name: rasters[name] for name in config.modality_names}
    golden, names = golden_arrays(model, rasters), config.modality_names
    encoded = [
        PlainEncoderGraph(model, name).eval()(torch.from_numpy(rasters[name])[None])
        for name in names
    ]
    levels = [torch.cat(level) for level in zip(*encoded, strict=True)]
    label_map, confidence, weights = PlainDecodeGraph(model).eval()(
        *levels, torch.ones(len(names), dtype=torch.bool)
    )
    key = '+'.join(names)
    assert (label_map.numpy() == golden[f'label_map/{key}']).mean() > 0.999
    assert np.abs(confidence.numpy().astype(int) - golden[f'confidence/{key}']).max() <= 1
    np.testing.assert_allclose(weights, golden[f'router_weights/{key}'], atol=1e-6)


# Parameters as published; built without memory, where nothing asks for numbers.


def num_learning(model) -> int:
    own = model.trainable('experts')
    return sum(p.numel() for name, p in model.named_parameters() if name in own)


@pytest.mark.parametrize(
    ('size', 'refined', 'expected'), [('base', (), 11.89), ('huge', tuple(range(20, 32)), 29.44)]
)
def test_ts_sam_has_as_many_parameters_as_published(size, refined, expected):
    plain = plain_network('tiny', ('camera',), 1, (1024, 1024))
    given = ((1024, 1024), plain.modalities, plain.classes)
    with torch.device('meta'):
        model = TsSam(TsSamConfig(*given, size=size, refined_blocks=refined))
    assert num_learning(model) / 1e6 == pytest.approx(expected, abs=0.005)


def test_ad_sam_has_as_many_parameters_as_published():
    plain = plain_network('tiny', ('camera',), 19, (1024, 1024))
    given = ((1024, 1024), plain.modalities, plain.classes)
    with torch.device('meta'):
        model = AdSam(AdSamConfig(*given, size='huge', freeze_statistics=False))
    assert num_learning(model) / 1e6 == pytest.approx(27, abs=0.1)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(664, abs=0.1)


def test_cmnext_has_as_many_parameters_as_published():
    plain = plain_network('tiny', ('camera', 'depth', 'event', 'lidar'), 25, (512, 512))
    model = Cmnext(CmnextConfig((512, 512), plain.modalities, plain.classes, size='b2'))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(58.7, abs=0.05)


# What is theirs alone


def test_a_deformable_layer_at_zero_offset_is_a_plain_one():
    layer, x = DeformableConv(5, 4), torch.randn(2, 5, 9, 13)
    plain = layer.convolution
    expected = F.conv2d(x, plain.weight, padding=1) / 2 + plain.bias[:, None, None]
    torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-5)


def test_sampling_is_the_deformable_layer():
    layer, x = DeformableConv(5, 4), torch.randn(2, 5, 9, 13)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)  # offsets of several pixels, beyond the border
    expected = layer.convolution(x, layer.offset(x), layer.share(x).sigmoid())  # torchvision's
    torch.testing.assert_close(layer(x), expected, atol=1e-4, rtol=1e-4)


def test_channel_attention_hears_the_mean_and_the_top():
    attention, x = ChannelAttention(8, 2), torch.randn(1, 8, 3, 4)
    first, _, second = attention.perceptron
    for channel in range(8):
        pooled = [x[0].mean((1, 2)), x[0].amax((1, 2))]
        heard = sum((second.weight @ (first.weight @ p).relu())[channel] for p in pooled)
        expected = x[0, channel] / (1 + (-heard).exp())
        torch.testing.assert_close(attention(x)[0, channel], expected)


def test_a_gate_at_zero_passes_nothing():
    gate, x = Gate(6), torch.randn(2, 6, 5, 7)
    torch.nn.init.zeros_(gate.second.weight)
    assert gate(x).abs().max() == 0
    torch.nn.init.normal_(gate.second.weight, std=1e4)
    assert (gate(x).abs() <= x.abs()).all()


@pytest.mark.parametrize('hw', [(32, 64), (48, 48), (20, 36)])
@pytest.mark.parametrize('share', [0.25, 0.06])
def test_high_pass_is_what_is_left_of_the_spectrum(hw, share):
    image = torch.randn(2, 3, *hw, dtype=torch.float64)
    height, width = hw
    reach = int((height * width * share) ** 0.5 // 2)
    keep = torch.ones(hw, dtype=torch.float64)
    rows = slice(max(height // 2 - reach, 0), height // 2 + reach)
    keep[rows, max(width // 2 - reach, 0) : width // 2 + reach] = 0
    spectrum = torch.fft.fftshift(torch.fft.fft2(image), dim=(-2, -1)) * keep
    expected = torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1))).real.abs()
    got = HighPass(hw, share)(image.float())
    torch.testing.assert_close(got, expected.float(), atol=1e-5, rtol=1e-4)


def test_the_hub_takes_the_most_that_any_sensor_asks_for():
    names = ('depth', 'event', 'lidar')
    hub = Hub(4, names, 4, []).eval()
    streams = {name: torch.randn(2, 4, 5, 6) for name in names}
    is_there = torch.tensor([[True, True], [True, False], [True, False]])[:, :, None, None, None]
    _, joint = hub(streams, is_there)
    for row, there in enumerate((names, names[:1])):
        values = []
        for name in there:
            x = streams[name][row : row + 1]
            depthwise, point = hub.queries[name]
            score = torch.sigmoid(point(depthwise(x)))
            values.append(x * score + x)
        most = torch.stack(values).amax(0)
        torch.testing.assert_close(joint[row : row + 1], hub.norm(most))


def test_statistics_of_a_frozen_resnet_stay(network, tmp_path):
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / 'resnet18.pth')
    config = replace(
        nano_configs(network)['ad_sam'],
        freeze_statistics=True,
        backbone_weights=str(tmp_path / 'resnet18.pth'),
    )
    model = AdSam(config).train()
    before = model.backbone.bn1.running_mean.clone()
    model.encode(torch.rand(2, *HW, 3) * 255, 'camera')
    assert torch.equal(model.backbone.bn1.running_mean, before)
    assert model.head.training
    assert model.rate_of('backbone.conv1.weight') == 0.1
    assert model.rate_of('head.0.weight') == 1
