"""Faults that would befall nothing are refused, most of them before a recording is opened."""

from bundles import manifest_mapping
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.faults.check import check_faults, check_recorded
from mle_sam_ros.replay.faults.parse import parse_fault
import pytest

MANIFEST = parse_manifest({**manifest_mapping(), 'files': {}}, 'test')


def test_what_is_not_read_of_a_recording_is_refused():
    def check(*texts):
        streams = {'camera', 'camera_info', 'lidar', 'lidar_2', 'tf'}
        check_recorded([parse_fault(text) for text in texts], MANIFEST, streams)

    check('lidar_2:drop=1', 'tf:drop=1', 'camera:noise=uniform')
    for text in ('event:drop=1', 'camera_info:drop=1', 'lidar_2:noise=uniform'):
        with pytest.raises(InputError, match='expected one of the streams camera, lidar'):
            check(text)


@pytest.mark.parametrize(
    ('text', 'streams'),
    [
        ('lidr:drop=1@0-1', 'camera, event, lidar, odometry, tf'),
        ('camera_info:drop=1', 'camera, event, lidar, odometry, tf'),
        ('twist:delay=1', 'camera, event, lidar, odometry, tf'),
        ('lidar_2:noise=uniform', 'camera, event, lidar'),
    ],
)
def test_what_no_recording_can_have_is_refused(text, streams):
    fine = ('lidar_2:drop=1', 'tf:drop=1', 'odometry:jitter=0.1', 'lidar:noise=uniform')
    check_faults([parse_fault(each) for each in fine], MANIFEST, [], 'odometry')
    with pytest.raises(InputError, match=f'expected one of the streams {streams}, got'):
        check_faults([parse_fault(text)], MANIFEST, [], 'odometry')


def test_what_is_left_out_cannot_fail():
    for text in ('lidar:drop=1', 'lidar_2:beams=1', 'odometry:drop=1'):
        with pytest.raises(InputError, match='expected one of the streams camera, event, tf, got'):
            check_faults([parse_fault(text)], MANIFEST, ['lidar'], 'none')
