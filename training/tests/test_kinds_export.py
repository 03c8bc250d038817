"""Every kind of network, as small as it can be, becomes a bundle that vehicles run unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec

from mle_sam.ad_sam_config import AdSamConfig
from mle_sam.checkpoint import Checkpoint
from mle_sam.cmnext_config import CmnextConfig, MIT_SIZES, MitSize
from mle_sam.config import NetworkConfig, SizeConfig, SIZES
from mle_sam.export.bundle import export_bundle
from mle_sam.export.onnx_graphs import GraphOptions
from mle_sam.export.plain import PlainDecodeGraph, PlainEncoderGraph
from mle_sam.models.build import build_network
from mle_sam.models.network import Network
from mle_sam.recipe import Recipe
from mle_sam.vit_config import CwsamConfig, SamLoraConfig, TsSamConfig, VIT_SIZES, VitSize
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import read_golden
from mle_sam_ros.runtime.proof import compare
import numpy as np
import onnx
from onnx_types import TypedGraph
import pytest
import torch

KINDS = ('sam_lora', 'cwsam', 'ts_sam', 'ad_sam', 'ad_sam_hiera', 'cmnext')
HW = (32, 64)
# Two blocks: one within windows that need padding, one over the frame.
TINY_VIT = VitSize(32, 2, 2, (1,), 3, position_side=3, d_model=16, decoder_mlp=32, decoder_heads=2)
TINY_HIERA = SizeConfig(8, 1, (1, 1, 2, 1), (3,), d_model=16, decoder_mlp=32, decoder_heads=2)
TINY_MIT = MitSize((8, 16, 40, 64), (1, 1, 1, 1), 16)
BACKENDS = (
    'onnx',
    pytest.param(
        'openvino',
        marks=pytest.mark.skipif(
            find_spec('openvino') is None, reason='the extra openvino is not installed'
        ),
    ),
)


def tiny_configs(network) -> dict[str, NetworkConfig]:
    """Camera and LiDAR, uint8 and float32, where a network takes more than one."""
    several = (HW, (network.modalities[0], network.modalities[2]), network.classes)
    camera = (HW, network.modalities[:1], network.classes)
    ad_sam = {'backbone': 'resnet18', 'freeze_statistics': False, 'widths': (8, 8, 8)}
    return {
        'sam_lora': SamLoraConfig(*several, size='tiny', lora_rank=2, input_adapters=True),
        'cwsam': CwsamConfig(*several, size='tiny'),
        'ts_sam': TsSamConfig(*camera, size='tiny', side_width=8, refined_width=8),
        'ad_sam': AdSamConfig(*camera, size='tiny', **ad_sam),
        'ad_sam_hiera': AdSamConfig(*camera, encoder='hiera', size='tiny', **ad_sam),
        'cmnext': CmnextConfig(*several, size='tiny'),
    }


@dataclass(frozen=True)
class Exported:
    """A network and what became of it."""

    recipe: Recipe
    model: Network
    rasters: dict[str, np.ndarray]
    bundle: Bundle


@pytest.fixture(scope='module')
def _tiny_sizes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VIT_SIZES, 'tiny', TINY_VIT)
        patch.setitem(MIT_SIZES, 'tiny', TINY_MIT)
        patch.setitem(SIZES, 'tiny', TINY_HIERA)
        yield


@pytest.fixture(params=KINDS, scope='module')
def exported(request, _tiny_sizes, network, recipe, tmp_path_factory) -> Exported:
    torch.manual_seed(3)
    config = tiny_configs(network)[request.param]
    model = build_network(config).eval()
    with torch.no_grad():  # nothing is left at the zero where it starts
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    random = np.random.default_rng(4)
    rasters = {
        'camera': random.integers(0, 256, (*HW, 3), np.uint8),
        'lidar': random.uniform(0, 50, (*HW, 3)).astype(np.float32),
    }
    rasters = {name: rasters[name] for name in config.modality_names}
    trunk = recipe.trunk if config.has_frozen_part else None
    recipe = replace(recipe, network=config, trunk=trunk)
    checkpoint = Checkpoint(recipe, 'experts', 1, model.state_dict(), {})
    directory = tmp_path_factory.mktemp('engines') / request.param
    return Exported(recipe, model, rasters, export_bundle(checkpoint, rasters, {}, directory))


@torch.inference_mode()
def test_layers_for_engines_say_what_the_network_says(exported):
    """Before any exporter: every layer that was rewritten, in its place."""
    model, levels = exported.model, []
    for name, raster in exported.rasters.items():
        image = torch.from_numpy(raster)[None]
        graph = PlainEncoderGraph(model, name).eval()  # copies of a ResNet are in training
        (expected,), (got,) = model.encode(image, name), graph(image)
        assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()
        levels.append(expected)
    present = torch.ones(len(levels), dtype=torch.bool)
    segmentation = model.decode([torch.stack(levels)], present[None])
    probability, label_map = model.logits(segmentation)[0].softmax(0).max(0)
    graph = PlainDecodeGraph(model).eval()
    got_map, confidence, weights = graph(torch.cat(levels), present)
    assert (got_map == label_map).float().mean() > 0.999
    assert (confidence - 255 * probability).abs().max() <= 0.6
    assert torch.equal(weights, segmentation.router_weights_BLM[0])


@pytest.mark.parametrize('backend', BACKENDS)
def test_engines_of_the_vehicle_answer_as_the_network(exported, backend):
    """For every subset; opening an engine is the gate that the node and replay go through."""
    bundle = Bundle.open(exported.bundle.directory)
    engine = open_engine(bundle, backend, threads=1)
    proof = compare(engine, read_golden(bundle.path(GOLDEN_NAME), bundle.manifest))
    assert len(proof.subsets) == 2 ** len(exported.rasters) - 1
    assert min(subset.agreement for subset in proof.subsets) > 0.999
    assert max(subset.confidence_error for subset in proof.subsets) <= 1
    assert max(subset.router_error for subset in proof.subsets) <= 1e-6


def test_what_is_absent_is_not_heard(exported):
    engine = open_engine(exported.bundle, 'onnx', threads=1)
    names = list(exported.rasters)
    for name in names:
        alone = engine.infer({name: exported.rasters[name]}, frozenset({name}))
        dirty = {
            **exported.rasters,
            **{n: exported.rasters[n] * 0 + 7 for n in names if n != name},
        }
        again = engine.infer(dirty, frozenset({name}))
        assert np.array_equal(alone.label_map, again.label_map)
        assert np.array_equal(alone.confidence, again.confidence)
        expected = [[float(other == name) for other in names]]
        assert np.array_equal(alone.router_weights, np.float32(expected))


def test_graphs_hold_nothing_that_could_be_said_before(exported):
    """Shapes, positions and tables are constants; layers are those that compilers know."""
    banned = {'If', 'Loop', 'Shape', 'NonZero', 'Range', 'ConvTranspose', 'Einsum', 'Sin', 'DFT'}
    for name in exported.bundle.manifest.files:
        if name.endswith('.onnx'):
            path = exported.bundle.path(name)
            graph = onnx.load(path).graph
            assert not {node.op_type for node in graph.node} & banned, name
            for value in (*graph.input, *graph.output):
                assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim)
            sizes = TypedGraph(path).nodes('Resize')
            assert all(node.input[0] in _computed(graph) for node in sizes)


def _computed(graph: onnx.GraphProto) -> set[str]:
    """What depends on the input."""
    known = {value.name for value in graph.input}
    for node in graph.node:
        if known & set(node.input):
            known |= set(node.output)
    return known


def test_manifest_names_one_level_of_trust(exported):
    manifest = exported.bundle.manifest
    assert manifest.modality_names == tuple(exported.rasters)
    assert (manifest.router.levels, manifest.router.k) == (1, len(exported.rasters))
    assert manifest.recipe['network']['kind'] == exported.recipe.network.kind


@pytest.mark.parametrize(
    ('options', 'programs', 'message'),
    [
        ({'precisions': ('fp16',)}, (), 'precision: expected fp32 for a network of kind'),
        ({'stacked': True}, (), 'stacked: expected encoders by themselves'),
        ({}, ('fp16',), 'programs: expected none for a network of kind'),
    ],
)
def test_what_only_mle_sam_has_is_refused_before_any_work(
    exported, options, programs, message, tmp_path
):
    checkpoint = Checkpoint(exported.recipe, 'experts', 1, exported.model.state_dict(), {})
    given = (checkpoint, exported.rasters, {}, tmp_path / 'out', programs)
    with pytest.raises(InputError, match=message):
        export_bundle(*given, graphs=GraphOptions(**options))
    assert not (tmp_path / 'out').exists()
