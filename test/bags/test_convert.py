"""Public recordings in their own layouts become bags that the pipeline takes."""

import shutil

from bundles import manifest_mapping
import cv2
import data_set_trees as trees
import deliver_tree
import h5py
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.convert.convert import convert
from mle_sam_ros.bags.convert.rig import EPOCH_NS
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.info import recording_info
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.image import decode_image, decode_label_image
from mle_sam_ros.core.inference import Inference
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.transforms import matrix_from_message
import muses_tree
import numpy as np
import pytest
import yaml

FULL = parse_manifest({**manifest_mapping(), 'files': {}}, 'test')
MS = 1_000_000


class Onlooker:
    def infer(self, rasters, present):
        blank = np.zeros(FULL.input_hw, np.uint8)
        return Inference(blank, blank, np.zeros((3, len(present)), np.float32), {})


def contents(path):
    """Topic to its messages, and the calibration."""
    by_topic = {}
    with open_bag(path) as bag:
        for item in bag.messages():
            by_topic.setdefault(item.topic, []).append(item)
        return by_topic, calibration_of(bag, find_topics(bag))


def events_of(items):
    decoder = EventDecoder()
    return Events.concatenate([decoder.decode(item.message, 'e') for item in items])


def predictions(path):
    """What the pipeline makes of it, with every fault an error."""
    with open_bag(path) as bag:
        topics = find_topics(bag)
        drive = Drive(bag, topics, FULL, Onlooker(), calibration_of(bag, topics))
        return [prediction for _, prediction in drive.predictions()]


def stamp_of(item):
    return item.message.header.stamp.sec * 10**9 + item.message.header.stamp.nanosec


@pytest.fixture(scope='module')
def dsec(tmp_path_factory):
    root = trees.write_dsec(tmp_path_factory.mktemp('dsec') / 'zurich_city_99_a')
    convert('dsec', root, root.parent / 'dsec.mcap')
    return root.parent / 'dsec.mcap'


def test_dsec_events_are_on_the_clock_of_the_frames(dsec):
    by_topic, _ = contents(dsec)
    got, source = events_of(by_topic['/event_camera/events']), trees.dsec_events()
    t_ns = (source['t'].astype(np.int64) + trees.DSEC_OFFSET_US) * 1000
    for name, expected in (('x', source['x']), ('y', source['y']), ('t_ns', t_ns)):
        np.testing.assert_array_equal(getattr(got, name), expected)
    np.testing.assert_array_equal(got.polarity, source['p'])
    for item in by_topic['/event_camera/events']:
        part = EventDecoder().decode(item.message, 'e')
        assert item.log_time_ns == stamp_of(item)
        if len(part):
            assert item.log_time_ns - 10 * MS <= part.t_ns[0] <= part.t_ns[-1] < item.log_time_ns
    # One packet follows the other, also where nothing happened.
    steps = np.diff([item.log_time_ns for item in by_topic['/event_camera/events']])
    assert set(steps.tolist()) == {10 * MS}


def test_dsec_frames_and_calibration(dsec):
    by_topic, rig = contents(dsec)
    images = by_topic['/camera/image']
    expected = [(trees.DSEC_START_US + index * 50_000) * 1000 for index in range(4)]
    assert [stamp_of(item) for item in images] == expected
    for index, item in enumerate(images):
        np.testing.assert_array_equal(
            decode_image(item.message, 'i'), trees.picture(index, trees.DSEC_FRAME_HW)
        )
    assert rig.cameras['camera'].size_hw == trees.DSEC_FRAME_HW
    assert not rig.cameras['camera'].distortion.any()
    assert rig.cameras['event'].distortion.tolist() == [*trees.DSEC_LENS, 0]
    assert rig.cameras['event'].matrix[[0, 1, 0, 1], [0, 1, 2, 2]].tolist() == (
        trees.DSEC_EVENT_FOCAL
    )
    # Point by point, as the data set's description says.
    point = np.array([1.0, -2, 10])
    in_cam1 = np.array(trees.T_10)[:3, :3] @ point + np.array(trees.T_10)[:3, 3]
    in_rect1 = np.array(trees.R_RECT1) @ in_cam1
    np.testing.assert_allclose((rig.camera_from['event'] @ [*point, 1])[:3], in_rect1, atol=1e-4)
    # No sweeps are converted, but their place is told, for those who add them.
    (mounting,) = by_topic['/tf_static']
    pose = {item.child_frame_id: item.transform for item in mounting.message.transforms}
    camera_from_lidar = matrix_from_message(pose['lidar_frame'])
    back = np.array(trees.T_LIDAR_CAMRECT1) @ camera_from_lidar
    np.testing.assert_allclose(back, np.eye(4), atol=1e-9)


def test_dsec_through_the_pipeline(dsec):
    # The first frame stands before events for a whole window have come.
    present = [prediction.present for prediction in predictions(dsec)]
    assert present[1:] == [{'camera', 'event'}] * 3
    with open_bag(dsec) as bag:
        info = recording_info(bag, manifest=FULL)
    assert info.usable == ('camera', 'event')
    assert info.custom_data['data_set'] == 'DSEC'


def test_dsec_without_sizes_in_the_calibration(tmp_path):
    root = trees.write_dsec(tmp_path / 'sequence')
    path = root / CAM_TO_CAM
    content = yaml.safe_load(path.read_text())
    for camera in content['intrinsics'].values():
        del camera['resolution']
    path.write_text(yaml.safe_dump(content))
    convert('dsec', root, tmp_path / 'a.mcap')
    cameras = contents(tmp_path / 'a.mcap')[1].cameras
    assert cameras['camera'].size_hw == trees.DSEC_FRAME_HW
    assert cameras['event'].size_hw == trees.DSEC_EVENT_HW
    content['intrinsics']['camRect1']['resolution'] = [1, 2]
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match=r'000000\.png: expected 1 x 2 as the calibration says'):
        convert('dsec', root, tmp_path / 'b.mcap')


@pytest.fixture(scope='module')
def m3ed(tmp_path_factory):
    directory = tmp_path_factory.mktemp('m3ed')
    path = trees.write_m3ed(directory / 'car_nowhere_data.h5')
    convert('m3ed', path, directory / 'm3ed.mcap')
    return directory / 'm3ed.mcap'


def test_m3ed_frames_and_events(m3ed):
    by_topic, rig = contents(m3ed)
    images = by_topic['/camera/image']
    assert [stamp_of(item) - EPOCH_NS for item in images] == [0, 40 * MS, 80 * MS]
    np.testing.assert_array_equal(
        decode_image(images[2].message, 'i'), trees.picture(2, trees.M3ED_FRAME_HW)
    )
    got, source = events_of(by_topic['/event_camera/events']), trees.m3ed_events()
    np.testing.assert_array_equal(got.t_ns, source['t'] * 1000 + EPOCH_NS)
    np.testing.assert_array_equal(got.x, source['x'])
    assert rig.cameras['event'].size_hw == trees.M3ED_EVENT_HW
    assert rig.cameras['camera'].distortion.tolist() == [-0.1, 0.05, 0.001, 0.002, 0]
    event_from_camera, event_from_lidar = np.array(trees.T_RGB), np.array(trees.T_OUSTER)
    np.testing.assert_allclose(event_from_camera @ rig.camera_from['event'], np.eye(4), atol=1e-9)
    np.testing.assert_allclose(
        event_from_camera @ rig.camera_from['lidar'], event_from_lidar, atol=1e-9
    )


def slow_ouster_sweep(millimetres):
    """Point by point, from the formulas of the sensor's manual; column 5 never came."""
    origin = trees.OUSTER['lidar_origin_to_beam_origin_mm']
    pose = np.reshape(trees.OUSTER['lidar_to_sensor_transform'], (4, 4))
    for column in range(trees.COLUMNS):
        for beam in range(trees.BEAMS):
            distance = millimetres[column, beam]
            if column == 5 or distance == 0:
                continue
            encoder = 2 * np.pi * (1 - column / trees.COLUMNS)
            azimuth = -np.radians(trees.OUSTER['beam_azimuth_angles'][beam])
            altitude = np.radians(trees.OUSTER['beam_altitude_angles'][beam])
            along = (distance - origin) * np.cos(altitude)
            x = along * np.cos(encoder + azimuth) + origin * np.cos(encoder)
            y = along * np.sin(encoder + azimuth) + origin * np.sin(encoder)
            z = (distance - origin) * np.sin(altitude)
            yield *(pose @ [x, y, z, 1])[:3] / 1000, 100 + beam, column * 1_500_000


def test_m3ed_sweeps_against_slow_formulas(m3ed):
    items = contents(m3ed)[0]['/lidar/points']
    assert len(items) == trees.M3ED_SWEEPS
    for index, item in enumerate(items):
        cloud = decode_cloud(item.message, 'lidar')
        expected = np.array(list(slow_ouster_sweep(trees.ouster_packets(index)[1])))
        np.testing.assert_allclose(cloud.xyz, expected[:, :3], atol=1e-5)
        np.testing.assert_array_equal(cloud.intensity, expected[:, 3])
        np.testing.assert_array_equal(cloud.time_ns - stamp_of(item), expected[:, 4])
        assert stamp_of(item) == EPOCH_NS + (index * 100 + 5) * MS
        assert item.log_time_ns == EPOCH_NS + (index * 100 + 103) * MS


def test_m3ed_through_the_pipeline(m3ed):
    assert [sorted(item.present) for item in predictions(m3ed)][-1] == ['camera', 'event']
    with open_bag(m3ed) as bag:
        assert recording_info(bag, manifest=FULL).usable == ('camera', 'event', 'lidar')


@pytest.fixture(scope='module')
def kitti(tmp_path_factory):
    drive = trees.write_kitti(tmp_path_factory.mktemp('kitti'))
    convert('kitti', drive, drive.parent / 'kitti.mcap')
    return drive.parent / 'kitti.mcap'


def test_kitti(kitti):
    by_topic, rig = contents(kitti)
    second = 1_317_042_145 * 10**9  # 2011-09-26 13:02:25 UTC
    stamps = [second + 60_951_199 + index * 100 * MS for index in range(3)]
    assert [stamp_of(item) for item in by_topic['/camera/image']] == stamps
    clouds = by_topic['/lidar/points']
    assert [stamp_of(item) for item in clouds] == [second + 55_951_199, second + 255_951_199]
    assert clouds[0].log_time_ns == second + 105_951_199
    cloud, source = decode_cloud(clouds[1].message, 'lidar'), trees.kitti_points(2)
    np.testing.assert_array_equal(cloud.xyz, source[:, :3])
    np.testing.assert_array_equal(cloud.intensity, source[:, 3])
    # A point ahead, by the formula of the development kit: P_rect_02 R_rect_00 (R x + T).
    point = np.array([12.0, 1.5, -0.5])
    in_camera_0 = np.array(trees.VELO_R) @ point + trees.VELO_T
    pixel = np.array(trees.P_RECT_02) @ [*(np.array(trees.R_RECT_00) @ in_camera_0), 1]
    camera = rig.cameras['camera']
    seen = (rig.camera_from['lidar'] @ [*point, 1])[None, :3]
    np.testing.assert_allclose(camera.project(seen)[0], pixel[:2] / pixel[2], atol=1e-3)
    assert camera.size_hw == trees.KITTI_HW
    # The sweep of the first frame ends after it; the third frame has it still, barely not.
    assert [item.present for item in predictions(kitti)][1] == {'camera', 'lidar'}


@pytest.fixture(scope='module')
def muses(tmp_path_factory):
    root = tmp_path_factory.mktemp('muses')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(muses_tree, 'SIZE_HW', (1080, 1920))
        muses_tree.write_muses(root)
    return root


def test_muses(muses, tmp_path):
    convert('muses', muses, tmp_path / 'a.mcap', 'val/rain/night')
    by_topic, rig = contents(tmp_path / 'a.mcap')
    (image,), (labels,) = by_topic['/camera/image'], by_topic['/ground_truth/labels']
    path = muses_tree.file_of(muses, 3, 'frame_camera')
    np.testing.assert_array_equal(
        decode_image(image.message, 'i'), cv2.imread(str(path))[:, :, ::-1]
    )
    assert set(np.unique(decode_label_image(labels.message, 'l'))) == {*range(19), 255}
    np.testing.assert_allclose(rig.camera_from['lidar'], muses_tree.LIDAR2RGB, atol=1e-9)
    # The last event falls onto the frame.
    events, source = events_of(by_topic['/event_camera/events']), muses_tree.events(3)
    assert events.t_ns[-1] == stamp_of(image)
    np.testing.assert_array_equal(
        np.unique(events.t_ns) - events.t_ns[-1], np.unique((source[2] - source[2].max()) * 1000)
    )
    # The exposure was from 40 to 30 ms before the end of the events, the sweep began before it.
    (sweep,) = by_topic['/lidar/points']
    cloud, rows = decode_cloud(sweep.message, 'lidar'), muses_tree.sweep(3)
    middle_s = (muses_tree.END_US - 35_000) / 1e6
    expected = stamp_of(image) + np.rint((rows[:, 5] - middle_s) * 1e9)
    np.testing.assert_allclose(cloud.time_ns, expected, atol=300)
    (prediction,) = predictions(tmp_path / 'a.mcap')
    assert prediction.present == {'camera', 'event', 'lidar'}
    with open_bag(tmp_path / 'a.mcap') as bag:
        assert bag.custom_data['condition'] == 'rain_night'


def test_muses_frames_do_not_reach_into_one_another(muses, tmp_path):
    convert('muses', muses, tmp_path / 'a.mcap', 'val')
    found = predictions(tmp_path / 'a.mcap')
    assert [item.present for item in found] == [{'camera', 'event', 'lidar'}] * 2
    with open_bag(tmp_path / 'a.mcap') as bag:
        assert 'condition' not in bag.custom_data


def test_deliver(tmp_path):
    root = deliver_tree.write_deliver(tmp_path / 'DELIVER')
    convert('deliver', root, tmp_path / 'a.mcap', 'cloud/val/MAP_10_point102')
    by_topic, rig = contents(tmp_path / 'a.mcap')
    assert len(by_topic['/camera/image']) == 2
    raw = deliver_tree.raw_labels('val', 0)
    expected = np.where((raw == 0) | (raw == 255), 255, raw - 1)
    got = decode_label_image(by_topic['/ground_truth/labels'][0].message, 'l')
    np.testing.assert_array_equal(got, expected)
    assert {'/deliver/event', '/deliver/lidar', '/deliver/depth_hha'} <= set(by_topic)
    assert (rig.cameras, rig.camera_from) == ({}, {})
    assert [item.present for item in predictions(tmp_path / 'a.mcap')] == [{'camera'}] * 2
    convert('deliver', root, tmp_path / 'b.mcap', 'night/val/MAP_2_point3_overexposure')
    with open_bag(tmp_path / 'b.mcap') as bag:
        assert bag.custom_data['failure'] == 'over_exposure'


@pytest.mark.parametrize(
    ('data_set', 'part', 'words'),
    [
        ('dsec', 'val', 'expected none for dsec'),
        ('muses', None, 'give for instance val/fog/night'),
        ('deliver', None, 'give for instance cloud/val'),
        ('dsec', None, r'events\.h5: expected a file, got none and 2 more'),
        ('kitti', None, r'expected a file, got none and 4 more'),
        ('muses', 'val', r'meta\.json: expected a JSON file of MUSES'),
        ('deliver', 'cloud/val/x', 'expected img/<condition>/val'),
        ('m3ed', None, 'expected an HDF5 file that can be read'),
    ],
)
def test_what_is_no_such_data_set(tmp_path, data_set, part, words):
    with pytest.raises(InputError, match=words) as error:
        convert(data_set, tmp_path, tmp_path / 'a.mcap', part)
    assert '\n' not in str(error.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match='none: expected a data set, got nothing'):
        convert(data_set, tmp_path / 'none', tmp_path / 'a.mcap', part)


def _edit(path, name, value):
    with h5py.File(path, 'a') as file:
        del file[name]
        if value is not None:
            file[name] = value


def _cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


EVENTS_H5, CAM_TO_CAM = 'events/left/events.h5', 'calibration/cam_to_cam.yaml'


@pytest.mark.parametrize(
    ('name', 'spoil', 'words'),
    [
        (EVENTS_H5, lambda p: _edit(p, 't_offset', None), 'expected t_offset with one value'),
        (EVENTS_H5, lambda p: _edit(p, 'events', 5), 'expected a group events'),
        (EVENTS_H5, lambda p: _edit(p, 'events/p', np.zeros(3, 'u1')), 'of one length'),
        (EVENTS_H5, lambda p: _edit(p, 'events/x', np.full(4000, 640)), 'within 640 x 480'),
        (EVENTS_H5, lambda p: _edit(p, 'events/t', np.arange(4000)[::-1]), 'in order of time'),
        (EVENTS_H5, lambda p: _edit(p, 'events/t', np.arange(4000) << 40), 'in order of time'),
        (EVENTS_H5, _cut, 'expected an HDF5 file'),
        (CAM_TO_CAM, _cut, 'expected'),
        (CAM_TO_CAM, lambda p: p.write_text('a: 1'), 'expected intrinsics of camRect1'),
        (
            CAM_TO_CAM,
            lambda p: p.write_text(p.read_text().replace('radtan', 'equidistant')),
            'expected distortion_model radtan',
        ),
        ('images/timestamps.txt', lambda p: p.write_text('1\n2\n'), 'got 2 lines'),
        ('images/timestamps.txt', lambda p: p.write_text('1\n2\nx\n4\n'), 'one number'),
        ('images/left/rectified/000002.png', _cut, '000002'),
    ],
)
def test_dsec_that_is_damaged(tmp_path, name, spoil, words):
    root = trees.write_dsec(tmp_path / 'sequence')
    spoil(root / name)
    with pytest.raises(InputError, match=words) as error:
        convert('dsec', root, tmp_path / 'a.mcap')
    assert '\n' not in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ['sequence']


@pytest.mark.parametrize(
    ('name', 'value', 'words'),
    [
        ('ovc/rgb/data', None, 'expected ovc/rgb/data'),
        ('ovc/ts', np.zeros(2, int), 'expected ovc/ts with 3'),
        ('ovc/ts', np.full(3, 1 << 60), 'microseconds since the start'),
        ('ovc/rgb/calib/distortion_model', 'fov', 'radtan or equidistant'),
        ('ovc/rgb/calib/T_to_prophesee_left', np.zeros((4, 4)), 'expected a rigid'),
        ('ouster/metadata', 'no JSON', 'metadata of an Ouster LiDAR'),
        ('ouster/metadata', '{"data_format": 1}', 'metadata of an Ouster LiDAR'),
        ('ouster/data', np.zeros((2, 4, 100), 'u1'), 'packets of'),
        ('prophesee/left/t', None, 'expected t with N'),
        ('prophesee/left', None, 'expected prophesee/left'),
    ],
)
def test_m3ed_that_is_something_else(tmp_path, name, value, words):
    path = trees.write_m3ed(tmp_path / 'a.h5')
    _edit(path, name, value)
    with pytest.raises(InputError, match=words) as error:
        convert('m3ed', path, tmp_path / 'a.mcap')
    assert '\n' not in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ['a.h5']


@pytest.mark.parametrize(
    ('name', 'spoil', 'words'),
    [
        ('image_02/timestamps.txt', lambda p: p.write_text('yesterday\n'), 'lines such as 2011'),
        ('image_02/timestamps.txt', lambda p: p.write_text(''), 'expected timestamps, got none'),
        ('velodyne_points/timestamps.txt', lambda p: _cut(p, 0.4), 'lines'),
        ('velodyne_points/data/0000000002.bin', lambda p: _cut(p, 0.51), 'rows of x, y, z'),
        ('../calib_velo_to_cam.txt', lambda p: p.write_text('R: 1 2 3\n'), 'expected R with 9'),
        ('../calib_cam_to_cam.txt', lambda p: p.write_text(''), 'expected P_rect_02'),
        ('image_02/data', shutil.rmtree, r'files such as 0000000000\.png, got none'),
    ],
)
def test_kitti_that_is_damaged(tmp_path, name, spoil, words):
    drive = trees.write_kitti(tmp_path / 'raw')
    spoil(drive / name)
    with pytest.raises(InputError, match=words) as error:
        convert('kitti', drive, tmp_path / 'a.mcap')
    assert '\n' not in str(error.value)
    assert [item.name for item in tmp_path.iterdir()] == ['raw']


def test_muses_on_other_clocks(muses, tmp_path):
    copy = shutil.copytree(muses, tmp_path / 'muses')
    path = muses_tree.file_of(copy, 3, 'lidar')
    rows = muses_tree.sweep(3)
    rows[:, 5] -= 37
    rows.tofile(path)
    with pytest.raises(InputError, match='within a second of the exposure'):
        convert('muses', copy, tmp_path / 'a.mcap', 'val/rain')
    with pytest.raises(InputError, match='expected frames of val/fog, got none'):
        convert('muses', copy, tmp_path / 'a.mcap', 'val/fog')


def test_a_missing_codec_is_named(dsec, tmp_path, monkeypatch):
    """As h5py says it where hdf5plugin is not installed."""

    class Locked:
        def __init__(self, *_):
            raise OSError(
                "Can't synchronously read data (required filter 'blosc' is not registered)"
            )

    monkeypatch.setattr(h5py, 'File', Locked)
    root = dsec.parent / 'zurich_city_99_a'
    with pytest.raises(InputError, match=r'pip install hdf5plugin'):
        convert('dsec', root, tmp_path / 'a.mcap')
    monkeypatch.setitem(__import__('sys').modules, 'h5py', None)
    with pytest.raises(InputError, match=r"package h5py, got none; pip install 'mle_sam_ros\[co"):
        convert('dsec', root, tmp_path / 'a.mcap')
