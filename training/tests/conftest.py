"""A network, recipe and data small enough that every test takes a second or so."""

from pathlib import Path

from mle_sam.config import NetworkConfig
from mle_sam.datasets.simulated import Shard
from mle_sam.model import MleSam
from mle_sam.recipe import DataConfig, read_recipe, Recipe, StageConfig
from mle_sam_ros.core.manifest import SemanticClass
import numpy as np
import pytest
import torch

HW = (64, 128)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))
NANO_RECIPE = Path(__file__).parents[1] / 'recipes' / 'nano_simulated.yaml'


@pytest.fixture(autouse=True)
def _one_seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


@pytest.fixture(scope='session')
def network() -> NetworkConfig:
    return NetworkConfig(
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


@pytest.fixture
def rasters(network) -> dict[str, np.ndarray]:
    return {name: stack[0] for name, stack in _shard(0).rasters.items()}


@pytest.fixture(scope='session')
def shards() -> list[Shard]:
    return [_shard(0), _shard(1)]


@pytest.fixture(scope='session')
def recipe(network) -> Recipe:
    stage = StageConfig(steps=6, batch=2, learning_rate=1e-3, save_every=4)
    return Recipe('toy', 1, network, DataConfig((0, 1), (2, 2), 4), stage, stage)


def _shard(seed: int) -> Shard:
    """Four moments of three bands whose limits, and what every sensor sees there, vary."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((4, *HW), np.uint8)
    for label_map in labels:
        for class_id in (1, 2):
            label_map[:, int(rng.integers(20, 55)) * class_id :] = class_id
    labels[:, :, :2] = 255
    paint = np.array(COLOURS, np.float32)[np.minimum(labels, 2)]
    rasters = {
        'camera': (paint + rng.normal(0, 10, paint.shape)).clip(0, 255).astype(np.uint8),
        'event': (paint > 100).astype(np.uint8) * rng.integers(0, 5, paint.shape, np.uint8),
        'lidar': (paint / 10 * (rng.random(paint.shape) < 0.3)).astype(np.float16),
    }
    return Shard(rasters, labels, ['day', 'night', 'day', 'fog'], ['none'] * 3 + ['lidar_jitter'])
