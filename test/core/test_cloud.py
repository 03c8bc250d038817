import array

from hypothesis import given, settings
from hypothesis import strategies as st
from lidar_layouts import DRIVERS, FLASH, message_of
import messages
from messages import FLOAT32, FLOAT64, UINT8, UINT16, UINT32
from mle_sam_ros.core.cloud import decode_cloud, LidarSettings
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
    extra['t'] = (UINT32, 18, [0, 50, 5099])
    cloud = decode_cloud(sweep(columns=extra, step=26), 'lidar/points')
    np.testing.assert_array_equal(cloud.xyz, np.stack([X, X + 1, X + 2], axis=1))
    np.testing.assert_array_equal(cloud.intensity, [1, 2, 3])
    np.testing.assert_array_equal(cloud.time_ns, [7, 57, 5106])
    assert cloud.span_ns == (7, 5106)


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('data_type', [bytes, bytearray, np.array, array.array])
def test_reads_every_driver(driver, data_type):
    points = FLASH[:60]
    message = message_of(driver, points)
    convert = {
        np.array: lambda data: np.frombuffer(data, np.uint8),
        array.array: lambda data: array.array('B', data),
    }.get(data_type, data_type)
    message.data = convert(message.data)
    cloud = decode_cloud(message, 'lidar')
    np.testing.assert_array_equal(cloud.xyz, points['xyz'])
    np.testing.assert_array_equal(cloud.intensity, points['reflectivity'])
    assert cloud.time_fault == ''
    if driver != 'carla':
        # Seconds since the epoch as float64 are whole multiples of 238 ns.
        assert np.abs(cloud.time_ns - points['time_ns']).max() <= 500


@pytest.mark.parametrize(
    ('rows', 'padding', 'row_step'),
    [(4, 0, None), (4, 6, None), (60, 1, None), (4, 0, 0), (4, 0, 4 * 26), (1, 0, 9999)],
)
def test_rows_may_be_padded(rows, padding, row_step):
    points = FLASH[:60]
    message = message_of('hesai', points)
    width = len(points) // rows
    data = np.frombuffer(message.data, np.uint8).reshape(rows, -1)
    message.data = np.pad(data, ((0, 0), (0, padding))).tobytes()
    message.width, message.height = width, rows
    message.row_step = width * message.point_step + padding if row_step is None else row_step
    np.testing.assert_array_equal(decode_cloud(message, 'lidar').xyz, points['xyz'])
    if padding:
        message.data = message.data[:-padding]  # the last row may do without
        np.testing.assert_array_equal(decode_cloud(message, 'lidar').xyz, points['xyz'])


def test_reads_swapped_width_and_height():
    message = message_of('robosense', FLASH[:60])
    message.width, message.height = 12, 5
    message.row_step = 5 * message.point_step
    np.testing.assert_array_equal(decode_cloud(message, 'lidar').xyz, FLASH[:60]['xyz'])


def test_reads_float64_coordinates():
    columns = {axis: (FLOAT64, 8 * i, [i + 0.1, 1e300]) for i, axis in enumerate('xyz')}
    cloud = decode_cloud(messages.cloud(columns), 'lidar')
    np.testing.assert_array_equal(cloud.xyz[0], np.float32([0.1, 1.1, 2.1]))
    assert np.isinf(cloud.xyz[1]).all()


def test_without_intensity_and_time():
    cloud = decode_cloud(sweep(), 'lidar/points')
    assert not cloud.intensity.any()
    assert cloud.time_ns is None
    assert cloud.span_ns is None
    assert len(cloud) == 3


def test_an_intensity_that_is_no_number_becomes_zero():
    extra = {'intensity': (FLOAT32, 12, [np.nan, np.inf, 3])}
    np.testing.assert_array_equal(decode_cloud(sweep(columns=extra), 'lidar').intensity, [0, 0, 3])


@pytest.mark.parametrize(
    ('extra', 'scale', 'expected'),
    [
        ({'intensity': (FLOAT32, 12, [0, 1, 300])}, 0.0, [0, 1, 300]),
        ({'intensity': (UINT8, 12, [0, 1, 255])}, 0.0, [0, 1, 255]),
        ({'intensity': (UINT16, 12, [0, 257, 65535])}, 0.0, [0, 1, 255]),
        ({'intensity': (FLOAT32, 12, [0, 0.5, 1])}, 255.0, [0, 127.5, 255]),
        ({'intensity': (UINT16, 12, [0, 1, 100])}, 2.0, [0, 2, 200]),
        (
            {'intensity': (FLOAT32, 12, [9, 9, 9]), 'reflectivity': (UINT16, 16, [1, 2, 3])},
            0.0,
            [1, 2, 3],
        ),
    ],
)
def test_scales_the_intensity(extra, scale, expected):
    cloud = decode_cloud(sweep(columns=extra), 'lidar', LidarSettings(scale))
    np.testing.assert_allclose(cloud.intensity, expected, rtol=1e-6)


@pytest.mark.parametrize('scale', [-1.0, np.nan, np.inf])
def test_refuses_a_scale(scale):
    with pytest.raises(InputError, match='expected an intensity_scale of 0 or more'):
        LidarSettings(scale)


def test_refuses_repeated_fields():
    message = sweep()
    message.fields[1].name = 'x'
    message.fields[2].name = 'x'
    with pytest.raises(InputError, match="expected distinct field names, got 'x', 'x', 'x'"):
        decode_cloud(message, 'lidar/points')


def test_empty_cloud():
    empty = {axis: (FLOAT32, 4 * i, []) for i, axis in enumerate('xyz')}
    assert len(decode_cloud(sweep(columns=empty), 'lidar/points')) == 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'is_bigendian': True}, 'lidar/points: expected little-endian points'),
        ({'data': b'12'}, 'expected 36 bytes of data for 3 x 1 points of 12, .* got 2 bytes'),
        ({'point_step': 8}, 'expected point_step >= 12 .* got 8'),
        ({'point_step': 0}, 'expected a point_step from 1 to 65536, got 0'),
        ({'point_step': 2**32 - 1}, 'expected a point_step from 1 to 65536, got 4294967295'),
        ({'fields': []}, 'expected the fields x, y, z, got'),
        ({'height': 3, 'width': 1, 'data': bytes(35)}, 'got 35 bytes and row_step 36'),
        ({'height': 2**32 - 1, 'width': 2**32 - 1}, 'bytes of data for 4294967295 x 4294967295'),
        ({'columns': {'x': (UINT32, 0, [1, 2, 3])}}, 'expected floating-point x, y, z'),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(InputError, match=message):
        decode_cloud(sweep(**changes), 'lidar/points')


def test_refuses_a_sweep_of_nothing_but_nan():
    columns = {axis: (FLOAT32, 4 * i, [np.nan, np.inf]) for i, axis in enumerate('xyz')}
    with pytest.raises(
        InputError, match='expected finite coordinates, got NaN or infinity in each of the 2'
    ):
        decode_cloud(sweep(columns=columns), 'lidar/points')


def test_refuses_unknown_datatype():
    message = sweep(columns={'w': (FLOAT64, 12, X)})
    message.fields[3].datatype = 9
    with pytest.raises(InputError, match=r"datatype from 1 to 8 .* got 9 x 1 for 'w'"):
        decode_cloud(message, 'lidar/points')


@pytest.mark.parametrize('count', [2, 65_536, 2**32 - 1])
def test_refuses_several_intensities_for_a_point(count):
    message = sweep(columns={'intensity': (FLOAT32, 12, X)}, step=20)
    message.fields[3].count = count
    with pytest.raises(InputError, match=r'expected (one intensity for|point_step >=)'):
        decode_cloud(message, 'lidar/points')


UNSIGNED = st.one_of(st.integers(0, 70), st.integers(0, 2**32 - 1))
NAMES = ['x', 'y', 'z', 'intensity', 'reflectivity', 't', 'timestamp', '', 'f0']


@st.composite
def hostile_messages(draw):
    """Any numbers in every place, mostly near those of a good message."""
    message = message_of(draw(st.sampled_from(list(DRIVERS))), FLASH[: draw(st.integers(0, 60))])
    for name in draw(st.sets(st.sampled_from(['width', 'height', 'point_step', 'row_step']))):
        setattr(message, name, draw(UNSIGNED))
    if draw(st.booleans()):
        message.data = draw(st.binary(max_size=600))
    for field in message.fields:
        if draw(st.integers(0, 9)) == 0:
            field.offset, field.count = draw(UNSIGNED), draw(UNSIGNED)
            field.datatype, field.name = draw(st.integers(0, 10)), draw(st.sampled_from(NAMES))
    return message


@settings(deadline=None, max_examples=400)
@given(hostile_messages())
def test_hostile_messages_are_read_or_refused(message):
    try:
        cloud = decode_cloud(message, 'lidar')
    except InputError:
        return
    # No more memory than the message justifies.
    assert len(cloud) == message.width * message.height
    assert len(cloud) * message.point_step <= len(message.data)
    assert np.isfinite(cloud.intensity).all()
    if cloud.time_ns is not None:
        assert 1_000 <= cloud.span_ns[1] - cloud.span_ns[0] <= 500_000_000 + 256


@pytest.mark.parametrize('driver', DRIVERS)
def test_agrees_with_sensor_msgs_py(driver):
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2', exc_type=ImportError)
    sensor_msgs = pytest.importorskip('sensor_msgs.msg', exc_type=ImportError)
    plain = message_of(driver, FLASH[:60])
    message = sensor_msgs.PointCloud2(
        height=plain.height, width=plain.width, point_step=plain.point_step,
        row_step=plain.row_step, data=plain.data, is_dense=False,
        fields=[sensor_msgs.PointField(**vars(field)) for field in plain.fields],
    )  # fmt: skip
    message.header.stamp.sec = plain.header.stamp.sec
    message.header.stamp.nanosec = plain.header.stamp.nanosec
    expected = point_cloud2.read_points(message)
    cloud = decode_cloud(message, 'lidar')
    for column, axis in enumerate('xyz'):
        np.testing.assert_array_equal(cloud.xyz[:, column], expected[axis])
    name = 'reflectivity' if 'reflectivity' in expected.dtype.names else 'intensity'
    np.testing.assert_array_equal(cloud.intensity, expected[name])
