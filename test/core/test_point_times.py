from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from lidar_layouts import FLASH, T0
import messages
from messages import FLOAT32, FLOAT64, INT32, UINT16, UINT32
from mle_sam_ros.core.cloud import decode_cloud
import numpy as np
import pytest

XYZ = np.array([[1, 2, 3], [4, 5, 6], [0, 0, 0], [np.nan, 0, 0], [7, 8, 9]], np.float32)
BOOT = 350.0


def cloud_of(name, datatype, values, stamp_ns=T0, xyz=XYZ):
    columns = {axis: (FLOAT32, 4 * i, xyz[:, i]) for i, axis in enumerate('xyz')}
    columns[name] = (datatype, 12, values)
    return decode_cloud(messages.cloud(columns, stamp_ns), 'lidar')


@pytest.mark.parametrize(
    ('name', 'datatype', 'values', 'expected_ns'),
    [
        ('t', UINT32, [0, 50_000, 70_000, 90_000, 99_000], [0, 50_000, 70_000, 90_000, 99_000]),
        # Ouster's PTP offset moves the stamp, from which t counts.
        ('offset_time', UINT32, [5, 1_005, 7, 7, 1_000], [5, 1005, 7, 7, 1000]),
        ('time_stamp', INT32, [-1_000, 0, -1, -1, 1_000], [-1_000, 0, -1, -1, 1_000]),
        # Velodyne: the stamp is that of the last packet.
        ('time', FLOAT32, [-0.125, 0, -0.0625, 0, 0], [-125_000_000, 0, -62_500_000, 0, 0]),
        ('time', FLOAT64, [0, 1e-4, 2e-4, 3e-4, 4e-4], [0, 100_000, 200_000, 300_000, 400_000]),
        (
            'timestamp', FLOAT64,
            1_750_000_000 + np.array([0, 0.25, 0.25, 0.25, 0.5]),
            [0, 250_000_000, 250_000_000, 250_000_000, 500_000_000],
        ),
        (
            'timestamp', FLOAT64,
            T0 + np.array([0, 256e3, 512e3, 256e4, 256e5]),
            [0, 256_000, 512_000, 2_560_000, 25_600_000],
        ),
    ],
)  # fmt: skip
def test_conventions(name, datatype, values, expected_ns):
    cloud = cloud_of(name, datatype, values)
    assert cloud.time_fault == ''
    np.testing.assert_array_equal(cloud.time_ns - T0, expected_ns)


def test_what_is_no_return_stays_within_the_sweep():
    cloud = cloud_of('t', UINT32, [1_000, 90_000, 4_000_000_000, 0, 50_000])
    np.testing.assert_array_equal(cloud.time_ns - T0, [1_000, 90_000, 90_000, 1_000, 50_000])


def test_what_is_no_return_may_have_no_time():
    cloud = cloud_of('time', FLOAT32, [0.25, 0.5, np.nan, np.inf, 0.5])
    np.testing.assert_array_equal((cloud.time_ns - T0) / 1e6, [250, 500, 250, 500, 500])


@pytest.mark.parametrize(
    ('name', 'datatype', 'values', 'stamp_ns', 'fault'),
    [
        ('t', UINT16, [0, 1, 2, 3, 4], T0, 'expected t as uint32, .* got uint16'),
        ('t', UINT32, [7] * 5, T0, 'expected t to span 1 us to 0.5 s in a sweep, got 0 s'),
        ('t', UINT32, [0, 6e8, 0, 0, 0], T0, 'in a sweep, got 0.6 s'),
        ('time', FLOAT32, [0, 0.6, 0, 0, 0], T0, r'in a sweep, got 0.6\d* s'),
        ('time', FLOAT32, [0, np.nan, 0, 0, 0], T0, 'seconds after the stamp, .* got nan to nan'),
        ('time', FLOAT32, [0, np.inf, 0, 0, 0], T0, 'got 0 to inf'),
        ('time', FLOAT32, [0, 5e4, 0, 0, 1e5], T0, 'got 0 to 100000; fix the driver'),
        ('timestamp', FLOAT32, [1.75e9] * 5, T0, 'in a sweep, got 0 s'),
        ('timestamp', FLOAT64, BOOT + np.arange(5) / 50, T0, 'got 350 to 350.08'),
        (
            'timestamp', FLOAT64, T0 / 1e9 + 37 + np.arange(5) / 50, T0,
            r'within a second of the stamp, got it 37.000 s off \(TAI against UTC\)',
        ),
        (
            'timestamp', FLOAT64, T0 / 1e9 + np.arange(5) / 50, 0,
            r'got it 1750000000.000 s off; let the driver take both from one clock',
        ),
        ('t', UINT32, 4e9 + np.arange(5) * 2e7, T0, 'got it 4.000 s off'),
    ],
)  # fmt: skip
def test_faults(name, datatype, values, stamp_ns, fault):
    cloud = cloud_of(name, datatype, np.asarray(values), stamp_ns)
    assert cloud.time_ns is None
    with pytest.raises(AssertionError, match=fault):
        raise AssertionError(cloud.time_fault)
    assert '\n' not in cloud.time_fault


@pytest.mark.parametrize('num_points', [0, 1])
def test_of_one_point_there_is_nothing_to_tell(num_points):
    cloud = cloud_of('t', UINT32, [9] * num_points, xyz=XYZ[:num_points])
    assert cloud.time_ns is None
    assert cloud.time_fault == ''


def reference_ns(points, ticks, scale_ns, base_ns):
    """Point by point, as one would explain it."""
    is_return = [np.isfinite(point).all() and point.any() for point in points]
    first = min(tick for tick, kept in zip(ticks, is_return, strict=True) if kept)
    last = max(tick for tick, kept in zip(ticks, is_return, strict=True) if kept)
    times = []
    for tick in ticks:
        held = first if not tick >= first else last if tick > last else tick
        times.append(base_ns + round(Fraction(float(held)) * scale_ns))
    return times


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 80), st.sampled_from(['u32', 'f32', 's', 'ns']))
def test_agrees_with_the_reference(seed, num_points, convention):
    random = np.random.default_rng(seed)
    xyz = FLASH['xyz'][:num_points].copy()
    xyz[2:][random.random(num_points - 2) < 0.2] = np.nan
    xyz[2:][random.random(num_points - 2) < 0.2] = 0
    offsets = random.permutation(np.linspace(0, 0.1, num_points))
    offsets[:2] = 0.001, 0.09
    datatype, values, scale_ns, base_ns = {
        'u32': (UINT32, (offsets * 1e9).astype(np.uint32), 1, T0),
        'f32': (FLOAT32, (offsets - 0.1).astype(np.float32), 10**9, T0),
        's': (FLOAT64, T0 / 1e9 + offsets, 10**9, 0),
        'ns': (FLOAT64, T0 + offsets * 1e9, 1, 0),
    }[convention]
    cloud = cloud_of('timestamp', datatype, values, xyz=xyz)
    assert cloud.time_ns.tolist() == reference_ns(xyz, values, scale_ns, base_ns)
