from mle_sam.config import MleSamConfig
from mle_sam.datasets.network_check import check_network, describe_encoding
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import (
    AlignedImageEncoding,
    DepthHhaEncoding,
    LidarEncoding,
    ModalitySpec,
    RgbEncoding,
    SemanticClass,
)
import pytest

CAMERA = ModalitySpec('camera', RgbEncoding(), (0, 0, 0), (1, 1, 1))
LIDAR = ModalitySpec('lidar', LidarEncoding(1.0, 3), (0, 0, 0), (1, 1, 1))
GIVES = {'camera': 'rgb', 'depth': 'depth_hha', 'lidar': 'aligned_image uint8'}
ROAD = (SemanticClass('road', (0, 0, 0)),)


def test_encodings_are_told_apart_by_what_the_files_must_hold():
    assert describe_encoding(RgbEncoding()) == 'rgb'
    assert describe_encoding(DepthHhaEncoding()) == 'depth_hha'
    sparse, dense = (AlignedImageEncoding('uint8', resize) for resize in ('nearest', 'area'))
    assert describe_encoding(sparse) == describe_encoding(dense) == 'aligned_image uint8'


@pytest.mark.parametrize(
    ('modalities', 'num_classes', 'message'),
    [
        ((CAMERA,), 1, None),
        ((CAMERA, LIDAR), 1, 'aligned_image uint8 for lidar of TOWN, got lidar_range_intensity'),
        ((CAMERA,), 2, 'network.classes: expected the 2 classes of TOWN, got 1; correct the rec'),
    ],
)
def test_check(modalities, num_classes, message):
    network = MleSamConfig((32, 32), modalities, ROAD, size='nano')
    if message is None:
        check_network(network, 'TOWN', GIVES, num_classes)
    else:
        with pytest.raises(InputError, match=message):
            check_network(network, 'TOWN', GIVES, num_classes)


def test_an_unknown_modality_lists_the_valid_ones():
    thermal = ModalitySpec('thermal', RgbEncoding(), (0, 0, 0), (1, 1, 1))
    network = MleSamConfig((32, 32), (thermal,), ROAD, size='nano')
    with pytest.raises(InputError, match='camera, depth, lidar, which TOWN has, got thermal'):
        check_network(network, 'TOWN', GIVES, 1)
