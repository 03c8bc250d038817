"""From the files of image data sets to a bundle that the runtime accepts."""

from dataclasses import replace
from pathlib import Path

from deliver_tree import write_deliver
from mcubes_tree import write_mcubes
from mle_sam.checkpoint import Checkpoint
from mle_sam.datasets.opening import open_dataset
from mle_sam.export.bundle import export_bundle
from mle_sam.models.mle_sam import MleSam
from mle_sam.recipe import read_recipe
from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.warm_up import warm_up
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.check import check_bundle
from mle_sam_ros.runtime.engine import open_engine
from mle_sam_ros.runtime.golden import subsets
import pytest
import torch

pytestmark = pytest.mark.slow  # one export, four encoders
RECIPES = Path(__file__).parents[1] / 'recipes'


def small(recipe_name, root):
    """A data set's own recipe for a nano network on a tree in its layout."""
    recipe = read_recipe(RECIPES / recipe_name)
    network = replace(recipe.network, size='nano', input_hw=(64, 64), lora_rank=4)
    return replace(recipe, network=network, data=replace(recipe.data, root=str(root)))


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """Sensors of DELIVER, and the angle of polarisation of MCubeS as the one in float32."""
    room = tmp_path_factory.mktemp('exported')
    deliver = small('deliver_tiny.yaml', write_deliver(room / 'DELIVER'))
    deliver = deliver.with_modalities(['camera', 'depth', 'event'])
    mcubes = small('mcubes_tiny.yaml', write_mcubes(room / 'mcubes')).with_modalities(['aolp'])
    rasters = {}
    for recipe in (deliver, mcubes):
        rasters |= open_dataset(recipe.data, recipe.network, 'val')[0].rasters
    modalities = deliver.network.modalities + mcubes.network.modalities
    recipe = replace(deliver, network=replace(deliver.network, modalities=modalities))
    torch.manual_seed(3)
    model = MleSam(recipe.network).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if '.experts.' in name or '.routers.' in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    checkpoint = Checkpoint(recipe, 'experts', 1, model.state_dict(), {})
    return export_bundle(checkpoint, rasters, {'data': 'none'}, room / 'bundle'), rasters


def test_bundle_is_whole_and_proven(exported):
    bundle, rasters = exported
    manifest = Bundle.open(bundle.directory).manifest
    found = {line.split(':')[0] for line in check_bundle(bundle.directory, 'onnx', threads=1)}
    assert found > {f'golden {"+".join(subset)}' for subset in subsets(manifest.modality_names)}
    kinds = {modality.name: modality.encoding.kind for modality in manifest.modalities}
    assert kinds == {
        'camera': 'rgb',
        'depth': 'depth_hha',
        'event': 'aligned_image',
        'aolp': 'aligned_image',
    }
    assert [raster.dtype.name for raster in rasters.values()] == ['uint8'] * 3 + ['float32']


def test_a_raster_of_another_type_is_refused(exported):
    bundle, rasters = exported
    engine = open_engine(bundle, 'onnx', threads=1)
    assert engine.infer(rasters, frozenset(rasters)).label_map.shape == (64, 64)
    wrong = rasters | {'aolp': rasters['aolp'].astype('uint8')}
    with pytest.raises(InputError, match=r'aolp raster \(64, 64, 3\) float32, got .* uint8'):
        engine.infer(wrong, frozenset(wrong))


def test_the_vehicle_has_a_stream_for_every_modality(exported):
    bundle, _ = exported
    warm_up(bundle.manifest)
    _, others = Alignment().streams(bundle.manifest)
    assert [stream.name for stream in others] == ['depth', 'event', 'aolp']
