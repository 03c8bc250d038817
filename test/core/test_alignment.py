import copy

from mle_sam_ros.core.alignment import Alignment
from mle_sam_ros.core.errors import InputError
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
def test_a_modality_that_no_stream_brings_is_refused(encoding):
    mapping = copy.deepcopy(MANIFEST)
    mapping['modalities'][2] |= {'name': 'depth', 'encoding': encoding}
    manifest = parse_manifest(mapping, 'manifest.json')
    with pytest.raises(InputError, match=f'depth: expected rgb, .* got {encoding["kind"]}, which'):
        Alignment().streams(manifest)
