import messages
from messages import FLOAT32, FLOAT64, UINT16, UINT32
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
import numpy as np
import pytest

X = np.array([1.5, np.nan, -3], np.float32)


def sweep(**changes):
    columns = {'x': (FLOAT32, 0, X), 'y': (FLOAT32, 4, X + 1), 'z': (FLOAT32, 8, X + 2)}
    message = messages.cloud(columns | changes.pop('columns', {}), 7, changes.pop('step', None))
    vars(message).update(changes)
    return message


def test_reads_an_unaligned_layout():
    extra = {'intensity': (FLOAT32, 12, [1, 2, 3]), 'ring': (UINT16, 16, [4, 5, 6])}
    extra['t'] = (UINT32, 18, [0, 50, 99])
    cloud = decode_cloud(sweep(columns=extra, step=26), 'lidar/points')
    np.testing.assert_array_equal(cloud.xyz, np.stack([X, X + 1, X + 2], axis=1))
    np.testing.assert_array_equal(cloud.intensity, [1, 2, 3])
    np.testing.assert_array_equal(cloud.time_ns, [7, 57, 106])


def test_without_intensity_and_time():
    cloud = decode_cloud(sweep(), 'lidar/points')
    assert not cloud.intensity.any()
    assert cloud.time_ns is None
    assert len(cloud) == 3


def test_an_intensity_that_is_no_number_becomes_zero():
    extra = {'intensity': (FLOAT32, 12, [np.nan, np.inf, 3])}
    np.testing.assert_array_equal(decode_cloud(sweep(columns=extra), 'lidar').intensity, [0, 0, 3])


def test_refuses_repeated_fields():
    message = sweep()
    message.fields[1].name = 'x'
    message.fields[2].name = 'x'
    with pytest.raises(InputError, match='expected distinct field names, got x, x, x'):
        decode_cloud(message, 'lidar/points')


def test_empty_cloud():
    empty = {axis: (FLOAT32, 4 * i, []) for i, axis in enumerate('xyz')}
    assert len(decode_cloud(sweep(columns=empty), 'lidar/points')) == 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'is_bigendian': True}, 'lidar/points: expected little-endian points'),
        ({'data': b'12'}, 'expected 36 bytes of data for 3 points, got 2'),
        ({'point_step': 8}, 'expected point_step >= 12 .* got 8'),
        ({'fields': []}, 'expected the fields x, y, z, got'),
        ({'height': 3, 'width': 1, 'row_step': 40}, 'expected row_step 12'),
        ({'columns': {'x': (UINT32, 0, [1, 2, 3])}}, 'expected floating-point x, y, z'),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        decode_cloud(sweep(**changes), 'lidar/points')


def test_refuses_a_sweep_of_nothing_but_nan():
    columns = {axis: (FLOAT32, 4 * i, [np.nan, np.inf]) for i, axis in enumerate('xyz')}
    with pytest.raises(
        InputError, match='expected finite coordinates, got NaN or infinity in each'
    ):
        decode_cloud(sweep(columns=columns), 'lidar/points')


def test_refuses_unknown_datatype():
    message = sweep(columns={'w': (FLOAT64, 12, X)})
    message.fields[3].datatype = 9
    with pytest.raises(InputError, match=r"datatype from 1 to 8 .* got 9 x 1 for 'w'"):
        decode_cloud(message, 'lidar/points')


def test_refuses_points_none_of_which_is_finite():
    columns = {axis: (FLOAT32, 4 * i, [np.nan, np.inf]) for i, axis in enumerate('xyz')}
    with pytest.raises(InputError, match='finite coordinates, got NaN or infinity in each of the'):
        decode_cloud(sweep(columns=columns), 'lidar/points')
