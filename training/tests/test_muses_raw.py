"""The raw files, against the SDK's projection written down slowly from its description.

Both agree wherever they can: one return per pixel, none behind the camera, no event off the image,
less than 256 events per pixel, and nothing within half a pixel of where the SDK cuts and rounds by
another convention of pixel centres.
"""

from dataclasses import replace
from pathlib import Path

import h5py
from mle_sam.datasets.muses_raw import RawSensors, read_cloud
from mle_sam.recipe import read_recipe
from mle_sam_ros.bags.data_sets.muses_files import read_events
from mle_sam_ros.bags.muses_calibration import FRAME_HW
from mle_sam_ros.core.errors import InputError
from muses_tree import (
    CAMERA_K,
    END_US,
    EVENT2RGB,
    EVENT_K,
    events,
    file_of,
    LIDAR2RGB,
    sweep,
    write_events,
    write_muses,
)
import numpy as np
import pytest

RECIPE = Path(__file__).parents[1] / 'recipes' / 'muses_tiny.yaml'
HW = (256, 512)
SCALE = np.diag([HW[1] / FRAME_HW[1], HW[0] / FRAME_HW[0], 1])
WINDOW_NS = 30_000_000


def _plain(spec):
    """Without dilation, which the SDK does as a step of its own."""
    has_dilation = hasattr(spec.encoding, 'dilation_px')
    return replace(spec, encoding=replace(spec.encoding, dilation_px=1)) if has_dilation else spec


NETWORK = read_recipe(RECIPE).network
NETWORK = replace(NETWORK, input_hw=HW, modalities=tuple(map(_plain, NETWORK.modalities)))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_muses(tmp_path_factory.mktemp('muses'))


@pytest.fixture(scope='module')
def sensors(root):
    return RawSensors(root, NETWORK)


def sdk_lidar(points):
    """Last return wins, and nothing asks whether it is behind the camera."""
    raster = np.zeros((*HW, 3), np.float32)
    matrix = SCALE @ np.array(CAMERA_K)
    for x, y, z, intensity, _, _ in points:
        distance = (x * x + y * y + z * z) ** 0.5
        in_camera = np.array(LIDAR2RGB) @ [x, y, z, 1]
        u, v, _ = matrix @ in_camera[:3] / in_camera[2]
        if distance >= 1 and 0 < u < HW[1] - 1 and 0 < v < HW[0] - 1:
            raster[int(v), int(u)] = distance, intensity, z
    return raster


def sdk_events(x, y, t, p):
    """Counts of the last 30 ms, wherever they are rounded to."""
    raster = np.zeros((*HW, 3), np.uint8)
    for column, row in sdk_pixels(x, y)[(t >= t.max() - 30_000) & (p == 1)]:
        raster[row, column, 0] += 1
    for column, row in sdk_pixels(x, y)[(t >= t.max() - 30_000) & (p == 0)]:
        raster[row, column, 1] += 1
    return raster


def sdk_exact_pixels(x, y):
    """(N, 2) of the events seen at infinite distance, before rounding."""
    rays = np.linalg.inv(EVENT_K) @ np.stack([x, y, np.ones(len(x))]).astype(float)
    projected = SCALE @ np.array(CAMERA_K) @ np.array(EVENT2RGB)[:3, :3] @ rays
    return (projected[:2] / projected[2]).T


def sdk_pixels(x, y):
    return sdk_exact_pixels(x, y).round().astype(int)


def points_at(pixels, depths):
    """(N, 6) returns that the SDK projects to a quarter right of and below these pixels."""
    uv = np.column_stack([np.asarray(pixels) + 0.25, np.ones(len(pixels))])
    in_camera = (np.linalg.inv(SCALE @ np.array(CAMERA_K)) @ uv.T * depths).T
    in_lidar = np.linalg.inv(LIDAR2RGB) @ np.column_stack([in_camera, np.ones(len(depths))]).T
    rng = np.random.default_rng(5)
    rest = np.column_stack([rng.uniform(1, 255, len(depths)), np.zeros((len(depths), 2))])
    return np.column_stack([in_lidar[:3].T, rest])


def lidar_of(sensors, points, tmp_path):
    points.tofile(tmp_path / 'a.bin')
    return sensors.raster('lidar', tmp_path / 'a.bin')


def test_lidar_is_that_of_the_sdk_where_one_return_meets_one_pixel(sensors, tmp_path):
    rng = np.random.default_rng(0)
    places = rng.choice(np.arange(1, 255 * 511), 3000, replace=False)
    pixels = np.column_stack([places % 511, places // 511])
    pixels = pixels[(pixels > 0).all(1)]
    points = points_at(pixels, rng.uniform(3, 80, len(pixels)))
    expected = sdk_lidar(points)
    raster = lidar_of(sensors, points, tmp_path)
    assert ((expected[..., 0] > 0).sum()) == len(pixels)
    np.testing.assert_allclose(raster, expected, rtol=1e-6, atol=1e-5)


def test_lidar_differs_from_the_sdk_behind_the_camera(sensors, tmp_path):
    """The SDK shows returns behind it, upside down, as if they were ahead."""
    points = points_at([[100, 60]], np.array([-20.0]))
    assert sdk_lidar(points)[60, 100, 0] > 19
    assert not lidar_of(sensors, points, tmp_path).any()


def test_lidar_differs_from_the_sdk_where_returns_meet(sensors, tmp_path):
    """The SDK shows the last one, we the nearest."""
    points = points_at([[100, 60], [100, 60]], np.array([10.0, 30.0]))
    assert sdk_lidar(points)[60, 100, 0] > 29
    assert lidar_of(sensors, points, tmp_path)[60, 100, 0] < 12


def test_near_and_broken_returns_are_dropped(sensors, tmp_path):
    points = points_at([[100, 60], [200, 60], [300, 60]], np.array([0.3, 9.0, 9.0]))
    points[1, 0] = np.nan
    points[2, 3] = np.nan
    raster = lidar_of(sensors, points, tmp_path)
    assert sorted(map(tuple, np.argwhere(raster[..., 0]))) == [(60, 300)]
    assert raster[60, 300, 1] == 0


def test_events_are_those_of_the_sdk_where_both_round_alike(sensors, tmp_path):
    x, y, t, p = events(0, 20_000)
    exact = sdk_exact_pixels(x, y)
    fraction = exact - np.floor(exact)
    kept = ((fraction < 0.49) & (exact > 0) & (exact < (HW[1] - 1, HW[0] - 1))).all(1)
    kept &= t != t[kept].max() - 30_000  # there the SDK's window is closed and ours is open
    x, y, t, p = x[kept], y[kept], t[kept], p[kept]
    write_events(tmp_path / 'a.h5', x, y, t, p)
    raster = sensors.raster('event', tmp_path / 'a.h5')
    assert raster.sum() > 1000
    assert np.array_equal(raster, sdk_events(x, y, t, p))


def test_events_off_the_image_are_ignored_and_counts_saturate(sensors, tmp_path):
    """The SDK raises or wraps round."""
    x = np.full(700, 640, np.uint16)
    t = END_US - np.arange(700)[::-1]
    p = (np.arange(700) < 300).astype(np.uint8)
    corner = np.zeros(700, np.uint16)
    write_events(
        tmp_path / 'a.h5',
        np.append(x, corner),
        np.append(x // 2, corner),
        np.append(t, t),
        np.append(p, p),
    )
    raster = sensors.raster('event', tmp_path / 'a.h5')
    ((row, column),) = np.argwhere(raster[..., 0])
    assert HW[0] / 3 < row < HW[0] / 1.5
    assert HW[1] / 3 < column < HW[1] / 1.5
    assert raster[row, column].tolist() == [255, 255, 0]


@pytest.mark.parametrize('dtype', [np.int64, np.uint32, np.uint64])
def test_the_window_ends_at_the_last_event(tmp_path, dtype):
    x, y, t, p = events(1)
    t = t - t.min() if dtype == np.uint32 else t
    write_events(tmp_path / 'a.h5', x, y, t.astype(dtype), p)
    read = read_events(tmp_path / 'a.h5', WINDOW_NS)
    inside = t > t.max() - 30_000
    assert 0 < inside.sum() < len(t)
    for column, expected in ((read.x, x), (read.y, y), (read.polarity, p)):
        assert np.array_equal(column, expected[inside])
    assert np.array_equal(read.t_ns, t[inside] * 1000)


def test_events_out_of_order_are_sorted_and_stay_together(tmp_path):
    x, y, t, p = events(2)
    shuffled = np.random.default_rng(0).permutation(len(t))
    write_events(tmp_path / 'a.h5', *(column[shuffled] for column in (x, y, t, p)))
    read = read_events(tmp_path / 'a.h5', WINDOW_NS)
    assert (np.diff(read.t_ns) >= 0).all()
    inside = t > t.max() - 30_000
    rows = sorted(zip(t[inside] * 1000, x[inside], y[inside], p[inside], strict=True))
    assert sorted(zip(read.t_ns, read.x, read.y, read.polarity, strict=True)) == rows


def test_fractions_of_pixels_are_rounded_and_those_off_the_sensor_dropped(tmp_path):
    x = np.array([10.4, 10.6, -3.0, 1279.6, 20.0])
    y = np.array([5.5001, 6.4, 5.0, 5.0, -0.4])
    write_events(tmp_path / 'a.h5', x, y, END_US + np.arange(5), np.ones(5, bool))
    read = read_events(tmp_path / 'a.h5', WINDOW_NS)
    assert list(zip(read.x, read.y, strict=True)) == [(10, 6), (11, 6), (20, 0)]


def test_no_events(sensors, tmp_path):
    write_events(tmp_path / 'a.h5', *(np.zeros(0, np.int64) for _ in range(4)))
    assert not sensors.raster('event', tmp_path / 'a.h5').any()


def test_sweeps_keep_their_returns(root):
    cloud = read_cloud(file_of(root, 3, 'lidar'))
    assert cloud.xyz.dtype == cloud.intensity.dtype == np.float32
    assert np.array_equal(cloud.xyz, sweep(3)[:, :3].astype(np.float32))
    assert np.array_equal(cloud.intensity, sweep(3)[:, 3].astype(np.float32))


@pytest.mark.parametrize('content', [b'', bytes(47), bytes(100), np.full(6, np.nan).tobytes()])
def test_what_is_no_sweep_is_named(tmp_path, content):
    (tmp_path / 'a.bin').write_bytes(content)
    with pytest.raises(InputError, match=r'a\.bin: expected '):
        read_cloud(tmp_path / 'a.bin')


def _without_times(file):
    del file['events/t']


def _of_unequal_length(file):
    del file['events/p']
    file['events/p'] = np.zeros(7)


def _of_text(file):
    del file['events/t']
    file['events/t'] = ['a'] * len(file['events/x'])


def _as_group(file):
    del file['events/t']
    file.create_group('events/t')


@pytest.mark.parametrize('spoil', [_without_times, _of_unequal_length, _of_text, _as_group])
def test_what_is_no_stream_of_events_is_named(tmp_path, spoil):
    write_events(tmp_path / 'a.h5', *events(0))
    with h5py.File(tmp_path / 'a.h5', 'a') as file:
        spoil(file)
    with pytest.raises(InputError, match=r'a\.h5: expected events/') as caught:
        read_events(tmp_path / 'a.h5', WINDOW_NS)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('share', [0, 0.1, 0.5, 0.9])
def test_event_files_cut_short_are_named(tmp_path, share):
    write_events(tmp_path / 'a.h5', *events(0))
    content = (tmp_path / 'a.h5').read_bytes()
    (tmp_path / 'a.h5').write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r'a\.h5: expected an HDF5 file that can be read'):
        read_events(tmp_path / 'a.h5', WINDOW_NS)
