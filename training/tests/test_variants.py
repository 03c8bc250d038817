"""The forms for GPUs are the network itself, reordered."""

from dataclasses import replace
from itertools import product

from mle_sam.config import MleSamConfig
from mle_sam.export.variants import cast, EXPERTS, Frame, fuse_decode, Kernels, StackedEncoder
from mle_sam.fusion import Fusion
from mle_sam.models.mle_sam import MleSam
import pytest
import torch

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]
HALVES = (torch.float16, torch.bfloat16)


def network_with(network: MleSamConfig, **changes) -> MleSam:
    """A network whose experts, adapters and routers are all different."""
    torch.manual_seed(4)
    model = MleSam(replace(network, **changes)).eval()
    different = ('.experts.', '.input_adapters.', '.routers.', 'no_mem_embed')
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in f'.{name}' for part in different):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def rasters_of(network: MleSamConfig) -> list[torch.Tensor]:
    torch.manual_seed(6)
    shape = (1, *network.input_hw, 3)
    camera = torch.randint(0, 256, shape, dtype=torch.uint8)
    event = torch.randint(0, 5, shape, dtype=torch.uint8)
    return [camera, event, 50 * torch.rand(shape)]


def features_of(model: MleSam, rasters: list[torch.Tensor]) -> list[torch.Tensor]:
    """Per level (M, C, h, w), from the plain network."""
    names = model.config.modality_names
    maps = [model.encode(raster, name) for raster, name in zip(rasters, names, strict=True)]
    return [torch.cat(level) for level in zip(*maps, strict=True)]


def assert_close(got, expected):
    """To 1e-5 of the largest value."""
    for a, b in zip(got, expected, strict=True):
        assert a.shape == b.shape
        assert a.is_contiguous()
        assert (a - b).abs().max() <= 1e-5 * b.abs().max()


@pytest.mark.parametrize('experts', EXPERTS)
@pytest.mark.parametrize(
    'changes',
    [
        {},
        {'lora_width': 'output'},
        {'lora_rank': 0},
        {'input_adapters': False, 'no_memory_embedding': True},
        {'input_hw': (224, 448)},  # no window reaches over the border
    ],
)
@torch.inference_mode()
def test_stacked_encoder_is_the_encoder(network, experts, changes):
    model = network_with(network, **changes)
    rasters, names = rasters_of(model.config), model.config.modality_names
    expected = features_of(model, rasters)
    assert_close(StackedEncoder(model, names, experts)(*rasters), expected)
    for index in range(3):
        alone = StackedEncoder(model, names[index : index + 1], experts)(rasters[index])
        assert_close(alone, [level[index : index + 1] for level in expected])


@torch.inference_mode()
def test_modalities_do_not_mix(network):
    model = network_with(network)
    rasters, names = rasters_of(network), network.modality_names
    encoder = StackedEncoder(model, names)
    before = encoder(*rasters)
    rasters[1] = torch.zeros_like(rasters[1])
    after = encoder(*rasters)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a[[0, 2]], b[[0, 2]])
        assert not torch.allclose(a[1], b[1])


@pytest.mark.parametrize('present', MASKS)
@pytest.mark.parametrize('changes', [{}, {'auxiliary_head': False}, {'combination': 'average'}])
@torch.inference_mode()
def test_decoder_agrees_for_every_subset_with_nan_in_unused_slots(network, present, changes):
    model = network_with(network, **changes)
    features = features_of(model, rasters_of(network))
    for level in features:
        level[~torch.tensor(present)] = torch.nan
    segmentation = model.decode([level[:, None] for level in features], torch.tensor([present]))
    probability, label_map = model.logits(segmentation)[0].softmax(0).max(0)
    got = fuse_decode(model)(*features, torch.tensor(present))
    assert (got[0] == label_map).float().mean() > 0.999
    assert (got[1] - 255 * probability).abs().max() < 1
    torch.testing.assert_close(got[2], segmentation.router_weights_BLM[0], atol=1e-6, rtol=0)
    assert not got[2][:, ~torch.tensor(present)].any()


@pytest.mark.parametrize('count', [1, 2, 3])
@torch.inference_mode()
def test_frame_is_the_whole_network_with_the_last_ones_absent(network, count):
    model = network_with(network)
    rasters, names = rasters_of(network)[:count], network.modality_names[:count]
    decoder = fuse_decode(model)
    mask = torch.tensor([[index < count for index in range(3)]])
    given = dict(zip(names, rasters, strict=True))
    segmentation = model(given, mask)
    label_map = model.logits(segmentation)[0].argmax(0)
    for encoders in (
        [StackedEncoder(model, names)],
        [StackedEncoder(model, (name,)) for name in names],
    ):
        got = Frame(encoders, decoder, columns=3).eval()(*rasters)
        assert (got[0] == label_map).float().mean() > 0.999
        torch.testing.assert_close(got[2], segmentation.router_weights_BLM[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize('dtype', HALVES)
@torch.inference_mode()
def test_half_precision_is_near_and_keeps_what_must_be_float32(network, dtype):
    model = network_with(network)
    rasters, names = rasters_of(network), network.modality_names
    plain = Frame([StackedEncoder(model, names)], fuse_decode(model), columns=3).eval()
    expected = plain(*rasters)
    frame = cast(plain, dtype)
    kept = {name for name, tensor in frame.state_dict().items() if tensor.dtype == torch.float32}
    kept_parts = [name for name, part in frame.named_modules() if isinstance(part, Fusion)]
    assert kept_parts == ['decoder.fusion']
    assert kept == {
        *(f'encoders.0.patches.normalise.{name}' for name in ('mean', 'std')),
        *(name for name in frame.state_dict() if name.startswith('decoder.fusion.')),
        *(name for name in frame.state_dict() if '.classifiers.' in name),  # of the logits
    }
    got = frame(*rasters)
    assert (got[0] == expected[0]).float().mean() > 0.98
    torch.testing.assert_close(got[2], expected[2], atol=0.01, rtol=0)
    assert [tensor.dtype for tensor in got] == [torch.uint8, torch.uint8, torch.float32]


@torch.inference_mode()
def test_fused_gelu_is_as_near_as_it_says(network):
    model = network_with(network, input_adapters=False)
    rasters, names = rasters_of(network), network.modality_names
    exact = StackedEncoder(model, names)(*rasters)
    near = StackedEncoder(model, names, kernels=Kernels(gelu='tanh'))(*rasters)
    for a, b in zip(near, exact, strict=True):
        assert (a - b).norm() <= 5e-3 * b.norm()


@pytest.mark.parametrize('experts', EXPERTS)
@torch.inference_mode()
def test_triton_windows_are_the_encoder(network, experts, triton_device):
    model = network_with(network)
    rasters, names = rasters_of(network), network.modality_names
    encoder = StackedEncoder(model, names, experts, Kernels(windows='triton')).to(triton_device)
    maps = encoder(*(raster.to(triton_device) for raster in rasters))
    assert_close([level.cpu() for level in maps], features_of(model, rasters))
