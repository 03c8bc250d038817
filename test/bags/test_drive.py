"""A recorded drive through the pipeline, with an engine that only looks on."""

from dataclasses import replace

from bundles import manifest_mapping
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.manifest import parse_manifest
import numpy as np
import pytest
from tiny_drive import PERIOD, START, write_drive

NUM_FRAMES = 6
FULL = parse_manifest({**manifest_mapping(), 'files': {}}, 'test')


class Onlooker:
    def infer(self, rasters, present):
        blank = np.zeros(FULL.input_hw, np.uint8)
        return Inference(blank, blank, np.zeros((3, len(present)), np.float32), {})


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp('drive') / 'a.mcap', NUM_FRAMES)


@pytest.mark.parametrize(
    'names', [('camera', 'event', 'lidar'), ('camera',), ('camera', 'lidar'), ('event', 'lidar')]
)
def test_a_model_of_fewer_sensors_passes_the_other_topics_by(bag, names):
    """Nothing of the sensors it lacks is read, and none of their messages is a fault."""
    modalities = tuple(spec for spec in FULL.modalities if spec.name in names)
    manifest = replace(FULL, modalities=modalities)
    with open_bag(bag) as reader:
        topics = find_topics(reader)
        drive = Drive(
            reader, topics, manifest, Onlooker(), calibration_of(reader, topics), (), True
        )
        predictions = [prediction for _, prediction in drive.predictions()]
    assert not drive.faults
    assert [p.stamp_ns for p in predictions] == [START + (n + 2) * PERIOD for n in range(6)]
    assert all(p.present == frozenset(names) for p in predictions)
