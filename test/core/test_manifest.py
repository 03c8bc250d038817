import copy

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    EventEncoding,
    LidarEncoding,
    parse_manifest,
    RgbEncoding,
)
import pytest

MANIFEST = {
    'schema_version': 1,
    'model': 'nano',
    'revision': 'abc',
    'recipe': {'steps': 3},
    'input_hw': [64, 128],
    'resize': 'stretch_area',
    'modalities': [
        {'name': 'camera', 'encoding': {'kind': 'rgb'}, 'mean': [1, 2, 3], 'std': [1, 1, 1]},
        {
            'name': 'event',
            'encoding': {
                'kind': 'event_polarity_counts', 'window_ns': 30_000_000, 'dilation_px': 1,
            },
            'mean': [0, 0, 0],
            'std': [1, 1, 1],
        },
        {
            'name': 'lidar',
            'encoding': {
                'kind': 'lidar_range_intensity_height', 'min_range_m': 1.0, 'dilation_px': 3,
            },
            'mean': [0, 0, 0],
            'std': [1, 1, 1],
        },
    ],
    'classes': [{'name': 'road', 'colour': [128, 64, 128]}],
    'router': {'levels': 3, 'k': 2},
    'files': {'fuse_decode.onnx': '0' * 64},
    'accuracy': {},
}  # fmt: skip
ALIGNED = {'kind': 'aligned_image', 'dtype': 'uint8', 'resize': 'nearest'}


def test_reads_and_writes_back():
    manifest = parse_manifest(MANIFEST, 'manifest.json')
    assert manifest.modality_names == ('camera', 'event', 'lidar')
    assert [type(m.encoding) for m in manifest.modalities] == [
        RgbEncoding, EventEncoding, LidarEncoding,
    ]  # fmt: skip
    assert manifest.class_names == ('road',)
    assert parse_manifest(manifest.to_mapping(), 'again') == manifest


def test_images_that_are_aligned_already():
    mapping = copy.deepcopy(MANIFEST)
    mapping['modalities'][1]['encoding'] = ALIGNED
    mapping['modalities'][2] |= {'name': 'depth', 'encoding': {'kind': 'depth_hha'}}
    manifest = parse_manifest(mapping, 'manifest.json')
    assert [m.encoding for m in manifest.modalities[1:]] == [
        AlignedImageEncoding('uint8', 'nearest'), DepthHhaEncoding(),
    ]  # fmt: skip
    assert parse_manifest(manifest.to_mapping(), 'again') == manifest


def changed(*path_and_value):
    *path, last, value = path_and_value
    mapping = copy.deepcopy(MANIFEST)
    target = mapping
    for key in path:
        target = target[key]
    target[last] = value
    return mapping


@pytest.mark.parametrize(
    ('mapping', 'message'),
    [
        (changed('speed', 3), 'unknown|expected only the keys schema_version, model'),
        (changed('schema_version', 2), 'expected schema_version 1, got 2'),
        (changed('input_hw', [60, 128]), r'multiples of 32, got \(60, 128\)'),
        (changed('resize', 'crop'), 'resize to be stretch_area, got crop'),
        (changed('modalities', []), 'at least one modality'),
        (changed('modalities', 1, 'name', 'camera'), 'each named once'),
        (changed('modalities', 1, 'std', [1, 0, 1]), 'positive std'),
        (changed('modalities', 2, 'encoding', 'kind', 'radar'), 'expected kind to be one of rgb'),
        (changed('classes', []), '1 to 255 classes'),
        (changed('classes', 0, 'colour', [0, 0, 256]), 'colours from 0 to 255'),
        (changed('router', 'k', 4), 'router.k'),
        (changed('files', {'../../etc/passwd': '0' * 64}), 'plain file names'),
        (changed('files', {'a.onnx': 'xyz'}), 'sha256'),
        ([], 'expected a mapping'),
        (changed('modalities', 1, 'encoding', ALIGNED | {'dtype': 'int8'}), 'float32 .* got int8'),
        (changed('modalities', 1, 'encoding', ALIGNED | {'resize': 'cubic'}), 'got uint8 and cub'),
        (changed('modalities', 1, 'encoding', {'kind': 'aligned_image'}), 'dtype, resize; add'),
        (changed('modalities', 1, 'encoding', {'kind': 'depth_hha', 'far_m': 80}), 'got far_m'),
    ],
)
def test_refuses(mapping, message):
    with pytest.raises(InputError, match=message):
        parse_manifest(mapping, 'manifest.json')
