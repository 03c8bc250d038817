from dataclasses import replace
from itertools import product

from mle_sam.export.graphs import EncoderGraph, FuseDecodeGraph
from mle_sam.export.precision import in_half
from mle_sam.export.stacked import StackedEncoderGraph
from mle_sam.models.mle_sam import MleSam
from mle_sam_ros.runtime.bundle import ALL_ENCODERS, Bundle, FUSE_DECODE_NAME
from mle_sam_ros.runtime.engine import open_engine
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

MASKS = [mask for mask in product((False, True), repeat=3) if any(mask)]


@pytest.fixture(scope='module')
def inputs(dataset) -> dict[str, np.ndarray]:
    return dataset[1].rasters


@pytest.fixture(scope='module')
def features(trained, inputs) -> list[torch.Tensor]:
    """Per level (M, C, h, w)."""
    with torch.inference_mode():
        maps = [trained.encode(torch.from_numpy(inputs[n])[None], n) for n in inputs]
    return [torch.cat(level) for level in zip(*maps, strict=True)]


def test_encoder_graph_is_the_encoder(trained, inputs, features):
    with torch.inference_mode():
        for index, (name, raster) in enumerate(inputs.items()):
            maps = EncoderGraph(trained, name).eval()(torch.from_numpy(raster)[None])
            for level, expected in zip(maps, features, strict=True):
                torch.testing.assert_close(level[0], expected[index], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'change',
    [
        {'no_memory_embedding': True},
        {'input_adapters': False, 'lora_width': 'output'},
        {'lora_rank': 0},
    ],
)
@torch.inference_mode()
def test_encoder_graph_follows_the_configuration(network, inputs, change):
    model = MleSam(replace(network, **change)).eval()
    for name, parameter in model.named_parameters():
        if '.experts.' in name or name == 'no_mem_embed':
            parameter.add_(0.1 * torch.randn_like(parameter))
    for name, raster in inputs.items():
        image = torch.from_numpy(raster)[None]
        maps = EncoderGraph(model, name).eval()(image)
        for level, expected in zip(maps, model.encode(image, name), strict=True):
            torch.testing.assert_close(level, expected, atol=2e-5, rtol=1e-4)
    assert_stacked_is_separate(model, inputs)


def assert_stacked_is_separate(model, inputs):
    """The same sums in another order: 2e-6 of the largest feature."""
    images = {name: torch.from_numpy(raster)[None] for name, raster in inputs.items()}
    maps = [EncoderGraph(model, name).eval()(image) for name, image in images.items()]
    stacked = StackedEncoderGraph(model).eval()(*images.values())
    for level, *expected in zip(stacked, *maps, strict=True):
        largest = float(level.abs().max())
        torch.testing.assert_close(level, torch.cat(expected), atol=2e-6 * largest, rtol=0)


@torch.inference_mode()
def test_stacked_graph_in_half_is_near_and_leaves_the_network_alone(trained, inputs, features):
    images = [torch.from_numpy(raster)[None] for raster in inputs.values()]
    maps = in_half(StackedEncoderGraph(trained).eval())(*images)
    for level, expected in zip(maps, features, strict=True):
        assert level.dtype == torch.float16
        assert torch.cosine_similarity(level.float().flatten(), expected.flatten(), 0) > 0.999
    assert {parameter.dtype for parameter in trained.parameters()} == {torch.float32}


def test_stacked_graph_is_the_encoders_side_by_side(trained, inputs, bundle):
    with torch.inference_mode():
        assert_stacked_is_separate(trained, inputs)
    stacked = onnxruntime.InferenceSession(str(bundle.path(f'{ALL_ENCODERS}.onnx')))
    got = stacked.run(None, {f'raster_{name}': raster[None] for name, raster in inputs.items()})
    for index, (name, raster) in enumerate(inputs.items()):
        alone = onnxruntime.InferenceSession(str(bundle.path(f'encoder_{name}.onnx')))
        for level, expected in zip(got, alone.run(None, {'raster': raster[None]}), strict=True):
            np.testing.assert_allclose(level[index], expected[0], atol=1e-5)


@pytest.mark.parametrize('present', MASKS)
@torch.inference_mode()
def test_decoder_agrees_for_every_subset_with_nan_in_unused_slots(
    trained, features, bundle, present
):
    dirty = [level.clone() for level in features]
    for level in dirty:
        level[~torch.tensor(present)] = torch.nan
    levels = [level[:, None] for level in features]
    segmentation = trained.decode(levels, torch.tensor([present]))
    probability, label_map = trained.logits(segmentation)[0].softmax(0).max(0)

    session = onnxruntime.InferenceSession(str(bundle.path(FUSE_DECODE_NAME)))
    feed = {f'features_{i}': level.numpy() for i, level in enumerate(dirty)}
    exported = session.run(None, {**feed, 'present': np.array(present)})
    rewritten = FuseDecodeGraph(trained).eval()(*dirty, torch.tensor(present))
    for got in (exported, [tensor.numpy() for tensor in rewritten]):
        assert (got[0] == label_map.numpy()).mean() > 0.999
        assert np.abs(got[1] - 255.0 * probability.numpy()).max() < 1
        weights = segmentation.router_weights_BLM[0].numpy()
        np.testing.assert_allclose(got[2], weights, atol=1e-5)
        assert np.all(got[2][:, ~np.array(present)] == 0)


def test_bundle_is_accepted_and_proven_by_the_runtime(bundle, inputs):
    engine = open_engine(Bundle.open(bundle.directory), 'onnx', threads=1)
    inference = engine.infer(inputs, frozenset({'event', 'lidar'}))
    assert inference.label_map.shape == bundle.manifest.input_hw
    assert inference.confidence.dtype == np.uint8


def test_manifest_says_what_was_trained(bundle, recipe, network):
    manifest = bundle.manifest
    assert manifest.modality_names == network.modality_names
    assert manifest.modalities == network.modalities
    assert manifest.classes == network.classes
    assert manifest.recipe['name'] == recipe.name


def test_graphs_are_plain_and_of_fixed_shape(bundle):
    for name in bundle.manifest.files:
        if name.endswith('.onnx'):
            graph = onnx.load(bundle.path(name)).graph
            kinds = {node.op_type for node in graph.node}
            assert not kinds & {'If', 'Loop', 'Shape', 'ConvTranspose', 'Pow', 'Erf'}
            for value in (*graph.input, *graph.output):
                assert all(d.dim_value > 0 for d in value.type.tensor_type.shape.dim), value.name
