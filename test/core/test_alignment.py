import copy
from dataclasses import replace

from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.manifest import parse_manifest
import pytest
from test_manifest import MANIFEST


def test_the_streams_are_those_of_the_models_sensors():
    camera, others = Alignment().streams(parse_manifest(MANIFEST, 'manifest.json'))
    assert camera == Alignment().camera
    assert [stream.name for stream in others] == ['event', 'lidar']


def test_the_event_window_is_the_models():
    mapping = copy.deepcopy(MANIFEST)
    mapping['modalities'][1]['encoding']['window_ns'] = 12_000_000
    _, (event, _) = Alignment().streams(parse_manifest(mapping, 'manifest.json'))
    assert event.window_ns == 12_000_000


@pytest.mark.parametrize(
    'encoding',
    [{'kind': 'depth_hha'}, {'kind': 'aligned_image', 'dtype': 'uint8', 'resize': 'nearest'}],
)
def test_an_aligned_image_has_a_stream_of_its_own_name(encoding):
    mapping = copy.deepcopy(MANIFEST)
    mapping['modalities'][2] |= {'name': 'depth', 'encoding': encoding}
    alignment = Alignment()
    _, others = alignment.streams(parse_manifest(mapping, 'manifest.json'))
    assert others[1] == replace(alignment.aligned, name='depth')


def test_each_lidar_has_a_stream_of_its_own():
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    _, others = Alignment().streams(manifest, num_lidars=3)
    assert [stream.name for stream in others] == ['event', 'lidar', 'lidar_2', 'lidar_3']
