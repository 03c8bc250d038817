"""The graphs of fp16 hold the precision policy themselves, and pass the gate of fp16."""

from importlib.util import find_spec

from mle_sam.export.onnx_graphs import export_graphs, GraphOptions
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.bundle import (
    encoder_name,
    fuse_decode_name,
    PRECISIONS,
)
from mle_sam_ros.runtime.engine import load_engine
from mle_sam_ros.runtime.gate import prove
import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx_types import TypedGraph
import pytest
import torch
from trained import as_if_trained

pytestmark = pytest.mark.slow  # fourteen graphs are exported
BOTH = GraphOptions(('fp32', 'fp16'))
# Attention layers of nano: one per block of the encoder; self, to the image and back twice, and
# once more to the image in the decoder.
NUM_ENCODER, NUM_DECODER = 6, 7
NEEDS_OPENVINO = pytest.mark.skipif(
    find_spec('openvino') is None, reason='the extra openvino is not installed'
)


def of_lidar(recipe, dataset, options, room) -> list[TypedGraph]:
    """The graphs of fp16 of a network with one sensor."""
    network = recipe.with_modalities(('lidar',)).network
    rasters = {'lidar': dataset[1].rasters['lidar']}
    files = export_graphs(as_if_trained(network), rasters, 'fp16', options, room)
    return [TypedGraph(path) for path in files.values()]


@pytest.fixture(scope='module')
def newest(recipe, dataset, tmp_path_factory) -> list[TypedGraph]:
    """Opset 23, the core of the attention in bfloat16."""
    options = GraphOptions(('fp16',), attention='bf16', opset=23)
    return of_lidar(recipe, dataset, options, tmp_path_factory.mktemp('newest'))


@pytest.fixture(scope='module')
def oldest(recipe, dataset, tmp_path_factory) -> list[TypedGraph]:
    """Opset 18."""
    options = GraphOptions(('fp16',), opset=18)
    return of_lidar(recipe, dataset, options, tmp_path_factory.mktemp('oldest'))


@pytest.fixture(scope='module')
def usual(bundle) -> list[TypedGraph]:
    """Opset 20, three sensors."""
    encoders = [encoder_name(name, 'fp16') for name in bundle.manifest.modality_names]
    return [TypedGraph(bundle.path(name)) for name in (*encoders, fuse_decode_name('fp16'))]


@pytest.fixture(scope='module', params=['usual', 'newest', 'oldest'])
def graphs(request) -> list[TypedGraph]:
    """Of fp16: the encoders, and last what follows."""
    return request.getfixturevalue(request.param)


def is_core(graph: TypedGraph, node) -> bool:
    """Whether a product is one of attention: neither side stands in the file."""
    return len(graph.shape_out(node)) == 4 and not any(map(graph.is_constant, node.input))


def test_opset_is_the_one_asked_for(usual, newest, oldest):
    for graphs, opset in ((oldest, 18), (usual, 20), (newest, 23)):
        assert {graph.opset for graph in graphs} == {opset}


def test_nothing_depends_on_the_data_but_the_values(graphs):
    banned = {'If', 'Loop', 'Scan', 'Shape', 'Size', 'NonZero', 'Range', 'ConvTranspose', 'Pow'}
    for graph in graphs:
        assert not graph.kinds() & banned
        assert ('Erf' in graph.kinds()) == (graph.opset == 18)
        for node in graph.nodes('Resize'):
            assert len(node.input) == 3  # the fourth would be sizes
            assert graph.is_constant(node.input[2])
        for node in graph.nodes('Reshape', 'Slice', 'Pad'):
            assert all(graph.is_constant(name) for name in node.input[1:] if name)


def test_graphs_of_fp32_hold_no_half(bundle):
    for name in (encoder_name('lidar'), encoder_name('camera'), fuse_decode_name()):
        graph = TypedGraph(bundle.path(name))
        assert not graph.types() & {'FLOAT16', 'BFLOAT16'}
        assert not any('INT' in kind for kind in casts_to_uint8(graph))


def casts_to_uint8(graph: TypedGraph) -> list[str]:
    casts = (node for node in graph.nodes('Cast') if graph.type_out(node) == 'UINT8')
    return [kind for node in casts for kind in graph.types_in(node) if kind != 'UINT8']


def test_uint8_comes_from_floats_and_becomes_one_at_once(graphs, bundle):
    *encoders, decoder = graphs
    assert casts_to_uint8(decoder) == ['FLOAT', 'FLOAT']
    camera = TypedGraph(bundle.path(encoder_name('camera', 'fp16')))
    for graph in (*encoders, camera):
        assert casts_to_uint8(graph) == []
        raster = graph.graph.input[0]
        readers = [node for node in graph.graph.node if raster.name in node.input]
        assert all(graph.type_out(node) == 'FLOAT' for node in readers)
    assert [node.op_type for node in readers] == ['Cast']


def test_norms_are_float32(graphs):
    *encoders, decoder = graphs
    for graph, number in [(encoder, 12) for encoder in encoders] + [(decoder, 10)]:
        norms = list(graph.nodes('LayerNormalization'))
        assert len(norms) == number
        assert all(graph.types_in(node) == {'FLOAT'} for node in norms)


def test_products_are_half_but_for_those_of_the_router_and_the_logits(graphs):
    *encoders, decoder = graphs
    for graph in encoders:
        for node in graph.nodes('Conv', 'Gemm', 'MatMul'):
            assert is_core(graph, node) or graph.types_in(node) == {'FLOAT16'}
        assert len(list(graph.nodes('Conv'))) == 5  # the patches, and four of the neck
    whole = [
        node
        for node in decoder.nodes('Conv', 'Gemm', 'MatMul')
        if not is_core(decoder, node) and decoder.types_in(node) != {'FLOAT16'}
    ]
    assert all(decoder.types_in(node) == {'FLOAT'} for node in whole)
    num_classes, num_modalities = 3, len(encoders)
    shapes = sorted((node.op_type, decoder.shape_out(node)) for node in whole)
    assert shapes == [
        *(('Conv', (1, num_classes, 64 // s, 128 // s)) for s in (16, 8, 4)),
        *(('Gemm', (1, num_modalities)) for _ in range(3)),
        ('MatMul', (1, num_classes, 16 * 32)),
    ]


def test_router_and_result_are_float32(graphs):
    decoder = graphs[-1]
    kinds = ('TopK', 'ScatterElements', 'ReduceMean', 'Resize', 'ReduceMax', 'Exp', 'ArgMax')
    for kind in kinds:
        nodes = list(decoder.nodes(kind))
        assert nodes
        for node in nodes:
            assert not decoder.types_in(node) & {'FLOAT16', 'BFLOAT16'}, kind
    routers = [node for node in decoder.nodes('Softmax') if len(decoder.shape_out(node)) == 2]
    assert len(routers) == 3
    assert all(decoder.types_in(node) == {'FLOAT'} for node in routers)


def test_core_of_the_attention_is_as_asked_for(usual, newest):
    for graphs, core, is_node in ((usual, 'FLOAT16', False), (newest, 'BFLOAT16', True)):
        *_, encoder, decoder = graphs
        for graph, number in ((encoder, NUM_ENCODER), (decoder, NUM_DECODER)):
            attentions = list(graph.nodes('Attention'))
            softmax = [n for n in graph.nodes('Softmax') if len(graph.shape_out(n)) == 4]
            products = [node for node in graph.nodes('MatMul') if is_core(graph, node)]
            assert len(attentions) == (number if is_node else 0)
            assert len(softmax) == (0 if is_node else number)
            assert len(products) == (0 if is_node else 2 * number)
            for node in (*attentions, *softmax, *products):
                assert graph.types_in(node) == {core}


@pytest.mark.parametrize('precision', PRECISIONS)
def test_the_gate_lets_every_subset_pass(bundle, precision):
    proof = prove(load_engine(bundle, 'onnx', 1, precision), bundle)
    assert len(proof.subsets) == 7


@NEEDS_OPENVINO
def test_openvino_runs_them_as_well(bundle):
    assert len(prove(load_engine(bundle, 'openvino', 1, 'fp16'), bundle).subsets) == 7


def test_bfloat16_is_near_in_the_reference_of_onnx(newest, recipe, dataset):
    """No processor's engine computes it; the reference rounds every sum, which GPUs do not."""
    raster = dataset[1].rasters['lidar'][None]
    got = ReferenceEvaluator(str(newest[0].path)).run(None, {'raster': raster})
    model = as_if_trained(recipe.with_modalities(('lidar',)).network)
    with torch.inference_mode():
        expected = [level.numpy() for level in model.encode(torch.from_numpy(raster), 'lidar')]
    for level, wanted in zip(got, expected, strict=True):
        assert level.dtype == np.float16
        assert 0 < np.linalg.norm(level - wanted) <= 0.05 * np.linalg.norm(wanted)


def test_half_precision_is_near_but_not_the_same(bundle, dataset):
    """Else the graphs of fp32 would have been exported twice."""
    rasters = dataset[1].rasters
    features = {}
    for precision in PRECISIONS:
        engine = load_engine(bundle, 'onnx', 1, precision)
        engine.infer(rasters, frozenset(rasters))
        features[precision] = [level.astype(np.float32) for level in engine.features('lidar')]
    for half, whole in zip(features['fp16'], features['fp32'], strict=True):
        difference = np.abs(half - whole).max()
        assert 0 < difference <= 0.005 * np.abs(whole).max()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'precisions': ('fp8',)}, 'precisions: expected fp32 or fp16'),
        ({'precisions': ('fp16',), 'attention': 'fp32'}, 'attention: expected fp16 or bf16'),
        ({'attention': 'bf16'}, 'attention: expected none where there are no graphs of fp16'),
        ({'opset': 17}, 'opset: expected 18, 20, 23, got 17'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(InputError, match=message):
        GraphOptions(**options)


def test_graphs_of_fp32_are_always_there():
    assert GraphOptions(('fp16',)).all_precisions == ('fp32', 'fp16')
