"""A network, recipe and data small enough that every test takes a second or so."""

import os
from pathlib import Path

from mle_sam.checkpoint import Checkpoint
from mle_sam.config import MleSamConfig
from mle_sam.datasets.augmentation import AugmentationConfig
from mle_sam.datasets.config import DriveData
from mle_sam.models.mle_sam import MleSam
from mle_sam.recipe import read_recipe, Recipe, StageConfig
from mle_sam_ros.core.manifest import SemanticClass
from mle_sam_ros.runtime.bundle import Bundle, PRECISIONS
import numpy as np
import pytest
import torch
from toy import COLOURS, HW, ToyDataset
from trained import as_if_trained

# Without a GPU, Triton's kernels are interpreted; it asks when it is first imported.
if not torch.cuda.is_available():
    os.environ.setdefault('TRITON_INTERPRET', '1')

NANO_RECIPE = Path(__file__).parents[1] / 'recipes' / 'nano_simulated.yaml'


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def network() -> MleSamConfig:
    return MleSamConfig(
        size='nano',
        input_hw=HW,
        modalities=read_recipe(NANO_RECIPE).network.modalities,
        classes=tuple(
            SemanticClass(name, colour)
            for name, colour in zip(('road', 'building', 'sky'), COLOURS, strict=True)
        ),
        lora_rank=4,
        input_adapters=True,
    )


@pytest.fixture
def model(network) -> MleSam:
    """A network whose experts differ from each other and from the trunk."""
    built = MleSam(network).eval()
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if '.experts.' in name or '.input_adapters.' in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return built


@pytest.fixture(scope='session')
def dataset() -> ToyDataset:
    return ToyDataset()


@pytest.fixture
def rasters(dataset) -> dict[str, np.ndarray]:
    return dataset[0].rasters


@pytest.fixture(scope='session')
def recipe(network) -> Recipe:
    stage = StageConfig(
        steps=6,
        batch=4,
        learning_rate=1e-3,
        save_every=4,
        keep_all=0.4,
        augmentation=AugmentationConfig(scale=(1.0, 1.0), jitter=1.0, jitter_range=0.3, blur=0.0),
    )
    data = DriveData('nowhere', (0, 1), (2, 2), 4)
    return Recipe('toy', 1, network, data, stage, trunk=stage)


@pytest.fixture(scope='session')
def trained(network) -> MleSam:
    return as_if_trained(network)


@pytest.fixture(scope='session')
def bundle(recipe, trained, dataset, tmp_path_factory) -> Bundle:
    """All that a bundle can hold, exported once for all tests: a graph takes some seconds."""
    # Imported here: most files of tests can do without, and it takes as long as torch.
    from mle_sam.export.bundle import export_bundle
    from mle_sam.export.onnx_graphs import GraphOptions

    checkpoint = Checkpoint(recipe, 'experts', 1, trained.state_dict(), {})
    directory = tmp_path_factory.mktemp('engines') / 'toy'
    options = GraphOptions(PRECISIONS, stacked=True)
    accuracy = {'data': 'none'}
    return export_bundle(checkpoint, dataset[1].rasters, accuracy, directory, PRECISIONS, options)


@pytest.fixture
def triton_device() -> str:
    """Where Triton's kernels can be tested: on a GPU, or interpreted on the processor."""
    pytest.importorskip('triton', reason='triton is not installed')
    return 'cuda' if torch.cuda.is_available() else 'cpu'
