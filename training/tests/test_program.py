"""Programs: the network as torch's compiler takes it, in a bundle."""

from mle_sam_ros.runtime import torch_build
from mle_sam_ros.runtime.build import build_key, BuildOptions
from mle_sam_ros.runtime.bundle import Bundle, PRECISIONS
from mle_sam_ros.runtime.contract import check_graphs
from mle_sam_ros.runtime.golden import subsets
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def inputs(dataset) -> dict[str, np.ndarray]:
    return dataset[1].rasters


def programs_of(bundle: Bundle, precision: str) -> list[torch.export.ExportedProgram]:
    return [
        torch.export.load(bundle.path(name)) for name in torch_build.sources(bundle, precision)
    ]


@pytest.mark.parametrize('precision', PRECISIONS)
def test_programs_keep_the_contract_of_the_bundle(bundle, precision):
    programs = torch_build.programs_of(bundle, precision)
    ports = {
        program.graph: torch_build.signature(exported, program)
        for program, exported in zip(programs, programs_of(bundle, precision), strict=True)
    }
    specs, _ = check_graphs(
        lambda graph: (*ports[graph], graph), bundle.manifest, precision, is_stacked=True
    )
    assert specs['lidar'].dtype == 'float32'
    key, _ = build_key(bundle, 'torch', BuildOptions(precision=precision))
    assert set(key.sources) == set(torch_build.sources(bundle, precision))


@pytest.mark.parametrize(('precision', 'agreement'), [('fp32', 0.999), ('fp16', 0.98)])
@torch.no_grad()
def test_programs_answer_as_the_network_for_every_subset(
    bundle, trained, inputs, precision, agreement
):
    *encoders, stacked, decoder = (p.module() for p in programs_of(bundle, precision))
    rasters = {name: torch.from_numpy(raster)[None] for name, raster in inputs.items()}
    names = trained.config.modality_names
    maps = [encoder(rasters[name]) for encoder, name in zip(encoders, names, strict=True)]
    features = [torch.cat(level) for level in zip(*maps, strict=True)]
    tolerance = {'fp32': 2e-5, 'fp16': 2e-2}[precision]
    batch = stacked(*(rasters[name] for name in names))
    torch.testing.assert_close(batch, tuple(features), atol=tolerance, rtol=1e-3)
    for subset in subsets(names):
        present = torch.tensor([name in subset for name in names])
        dirty = [level.clone() for level in features]
        for level in dirty:
            level[~present] = torch.nan
        label_map, _, weights = decoder(*dirty, present)
        segmentation = trained({name: rasters[name] for name in subset}, present[None])
        expected = trained.logits(segmentation)[0].argmax(0)
        assert (label_map == expected).float().mean() >= agreement
        torch.testing.assert_close(weights, segmentation.router_weights_BLM[0], atol=0.01, rtol=0)


def test_weights_are_stored_in_the_precision_asked_for(bundle):
    sizes = {}
    for precision in PRECISIONS:
        encoder = bundle.path(torch_build.program_name('encoder_camera', precision))
        sizes[precision] = encoder.stat().st_size
        decoder = torch.export.load(
            bundle.path(torch_build.program_name('fuse_decode', precision))
        ).state_dict
        kept = {name for name, tensor in decoder.items() if tensor.dtype == torch.float32}
        assert ('transformer.layers.0.norm1.weight' in kept) == (precision == 'fp32')
        assert all(name in kept for name in decoder if name.startswith('fusion.'))
    assert sizes['fp16'] < 0.7 * sizes['fp32']
