"""Programs: the network as torch's compiler takes it, in a bundle."""

from mle_sam.checkpoint import Checkpoint
from mle_sam.export.bundle import export_bundle
from mle_sam.model import MleSam
from mle_sam_ros.runtime import torch_build
from mle_sam_ros.runtime.build import build_key, BuildOptions
from mle_sam_ros.runtime.bundle import Bundle, PRECISIONS
from mle_sam_ros.runtime.contract import check_encoder, check_fuse_decode
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def model(network) -> MleSam:
    torch.manual_seed(5)
    built = MleSam(network).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if any(part in name for part in ('.experts.', '.input_adapters.', '.routers.')):
                parameter.add_(0.05 * torch.randn_like(parameter))
    return built


@pytest.fixture(scope='module')
def inputs(dataset) -> dict[str, np.ndarray]:
    return dataset[1].rasters


@pytest.fixture(scope='module')
def bundle(recipe, model, inputs, tmp_path_factory) -> Bundle:
    checkpoint = Checkpoint(recipe, 'experts', 1, model.state_dict(), {})
    directory = tmp_path_factory.mktemp('engines') / 'toy'
    return export_bundle(checkpoint, inputs, {'data': 'none'}, directory, PRECISIONS)


def programs_of(bundle: Bundle, precision: str) -> list[torch.export.ExportedProgram]:
    return [
        torch.export.load(bundle.path(name)) for name in torch_build.sources(bundle, precision)
    ]


@pytest.mark.parametrize('precision', PRECISIONS)
def test_programs_keep_the_contract_of_the_bundle(bundle, precision):
    *encoders, decoder = programs_of(bundle, precision)
    for program in encoders:
        ports = torch_build.signature(program, torch_build.FEATURE_NAMES)
        spec, shapes = check_encoder(*ports, bundle.manifest, 'encoder', precision)
    assert spec.dtype == 'float32'  # that of the last one, LiDAR
    ports = torch_build.signature(decoder, torch_build.ANSWERS)
    check_fuse_decode(*ports, bundle.manifest, shapes, 'decoder', precision)
    key, _ = build_key(bundle, 'torch', BuildOptions(precision=precision))
    assert set(key.sources) == set(torch_build.sources(bundle, precision))


@pytest.mark.parametrize(('precision', 'agreement'), [('fp32', 0.999), ('fp16', 0.98)])
@torch.no_grad()
def test_programs_answer_as_the_network_for_every_subset(
    bundle, model, inputs, precision, agreement
):
    *encoders, decoder = (program.module() for program in programs_of(bundle, precision))
    rasters = {name: torch.from_numpy(raster)[None] for name, raster in inputs.items()}
    names = model.config.modality_names
    maps = [encoder(rasters[name]) for encoder, name in zip(encoders, names, strict=True)]
    features = [torch.cat(level) for level in zip(*maps, strict=True)]
    for subset in subsets(names):
        present = torch.tensor([name in subset for name in names])
        dirty = [level.clone() for level in features]
        for level in dirty:
            level[~present] = torch.nan
        label_map, _, weights = decoder(*dirty, present)
        segmentation = model({name: rasters[name] for name in subset}, present[None])
        expected = model.logits(segmentation)[0].argmax(0)
        assert (label_map == expected).float().mean() >= agreement
        torch.testing.assert_close(weights, segmentation.router_weights_BLM[0], atol=0.01, rtol=0)


def test_weights_are_stored_in_the_precision_asked_for(bundle):
    sizes = {}
    for precision in PRECISIONS:
        encoder = bundle.path(torch_build.encoder_program_name('camera', precision))
        sizes[precision] = encoder.stat().st_size
        decoder = torch.export.load(
            bundle.path(torch_build.fuse_decode_program_name(precision))
        ).state_dict
        kept = {name for name, tensor in decoder.items() if tensor.dtype == torch.float32}
        assert ('transformer.layers.0.norm1.weight' in kept) == (precision == 'fp32')
        assert all(name in kept for name in decoder if name.startswith('fusion.'))
    assert sizes['fp16'] < 0.7 * sizes['fp32']
