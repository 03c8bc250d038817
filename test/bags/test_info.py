"""What is told of a recording: rates, gaps, clocks, calibration, and whether a model runs."""

import json

from bundles import manifest_mapping
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.info import recording_info
from mle_sam_ros.bags.info_text import info_text
from mle_sam_ros.bags.reader import Arrival, open_bag
from mle_sam_ros.bags.timing import TimingTally
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.core.record import to_mapping
import numpy as np
import pytest
from recordings import IMAGE, MS, T0
from tiny_drive import write_drive

FULL = parse_manifest({**manifest_mapping(), 'files': {}}, 'test')
SECOND = 1000 * MS


def info_of(path, **options):
    with open_bag(path) as bag:
        return recording_info(bag, **options)


def timing_of(stamps, delay_ns=5 * MS):
    tally = TimingTally()
    for stamp_ns in stamps:
        tally.add(Arrival(stamp_ns + delay_ns, '/t', stamp_ns, 100))
    return tally.timing()


def test_a_good_drive(tmp_path):
    info = info_of(write_drive(tmp_path / 'a.mcap', 20), manifest=FULL)
    by_stream = {item.stream: item for item in info.topics}
    assert (info.messages, info.duration_s) == (153, pytest.approx(1.055))
    camera = by_stream['camera']
    assert (camera.topic, camera.content) == ('/camera/image', '160 x 80 rgb8')
    assert (camera.timing.rate_hz, camera.timing.gaps, camera.timing.messages) == (20, 0, 20)
    assert camera.timing.delay.median_ms == 5
    assert by_stream['event'].content == '160 x 80 libcaer'
    assert by_stream['lidar'].content == '300 points: x y z intensity'
    assert set(info.calibration.values()) == {None}
    assert info.transforms == {'base_link': ('camera_optical_frame', 'event_frame', 'lidar_frame')}
    assert info.usable == ('camera', 'event', 'lidar')
    text = info_text(info)
    assert '!' not in text
    assert text.splitlines()[-1] == '  runs on camera + event + lidar, 3 of 3 sensors'
    assert json.loads(json.dumps(to_mapping(info)))['fit'][0]['problem'] is None


def test_silence_and_missing_calibration(tmp_path):
    path = write_drive(
        tmp_path / 'a.mcap', 20, silent={'lidar': range(4, 10)}, without=('/tf_static',)
    )
    info = info_of(path, manifest=FULL)
    assert info.calibration['camera_from.lidar'].startswith('no transform')
    assert info.calibration['intrinsics of event'] is None
    assert info.usable == ('camera',)
    text = info_text(info)
    assert '! /lidar/points: 1 gap of 0.400 s where 0.100 s is usual' in text
    assert '! event: absent; expected a calibration, got none for camera_from.event' in text
    assert 'runs on camera, 1 of 3 sensors' in text


def test_a_sensor_on_a_moving_mount(tmp_path):
    path = write_drive(tmp_path / 'a.mcap', 4)
    with open_bag(path) as bag:
        items = list(bag.messages())
    with BagWriter(tmp_path / 'b.mcap') as bag:
        for item in items:
            if item.topic == '/tf_static':
                links = item.message.transforms
                moving = [link for link in links if link.child_frame_id == 'lidar_frame']
                kept = [link for link in links if link.child_frame_id != 'lidar_frame']
                bag.write('/tf', messages.transforms(moving), item.log_time_ns)
                bag.write('/tf_static', messages.transforms(kept), item.log_time_ns)
            else:
                bag.write(item.topic, item.message, item.log_time_ns)
    info = info_of(tmp_path / 'b.mcap', manifest=FULL)
    assert info.moving_transforms == {'base_link': ('lidar_frame',)}
    assert info.usable == ('camera', 'event', 'lidar')
    assert 'base_link -> lidar_frame (moving)' in info_text(info)


def test_a_calibration_from_elsewhere(tmp_path):
    whole = write_drive(tmp_path / 'whole.mcap', 4)
    with open_bag(whole) as bag:
        rig = calibration_of(bag, find_topics(bag))
    bare = write_drive(tmp_path / 'bare.mcap', 4, without=('/tf_static', '/camera/camera_info'))
    assert info_of(bare, manifest=FULL).usable == ('camera',)
    assert info_of(bare, manifest=FULL, calibration=rig).usable == ('camera', 'event', 'lidar')


def test_an_open_question_is_no_failure(tmp_path):
    picture = messages.image(IMAGE, 'rgb8', T0, 'camera')
    with BagWriter(tmp_path / 'a.mcap', {'weather': 'fog'}) as bag:
        for name in ('/front/image', '/rear/image'):
            bag.write(name, picture, T0)
    info = info_of(tmp_path / 'a.mcap', manifest=FULL)
    text = info_text(info)
    assert 'choose one, as in --topic camera=/front/image' in text
    assert 'cannot run before the questions are answered' in text
    assert 'weather: fog' in text
    answered = info_of(tmp_path / 'a.mcap', chosen={'camera': '/rear/image'}, manifest=FULL)
    assert (answered.questions, answered.usable) == ((), ('camera',))
    with pytest.raises(InputError, match='expected /no for camera'):
        info_of(tmp_path / 'a.mcap', chosen={'camera': '/no'})


def test_what_cannot_be_used_is_told(tmp_path):
    picture = messages.image(IMAGE, 'rgb8', T0, 'camera')
    picture.encoding = 'bayer_odd'
    with BagWriter(tmp_path / 'a.mcap') as bag:
        bag.write('/camera/image', picture, T0)
    info = info_of(tmp_path / 'a.mcap', manifest=FULL)
    assert info.usable == ()
    text = info_text(info)
    assert '! /camera/image: expected encoding rgb8' in text
    assert text.endswith('cannot run on this recording')


def test_an_empty_recording(tmp_path):
    picture = messages.image(IMAGE, 'rgb8', T0, 'camera')
    with BagWriter(tmp_path / 'a.mcap') as bag:
        bag.write('/camera/image', picture, T0)
    info = info_of(tmp_path / 'a.mcap')
    assert (info.model, info.fit, info.duration_s) == (None, (), 0)
    assert 'camera  /camera/image' in info_text(info)


@pytest.mark.parametrize(
    ('stamps', 'delay_ns', 'expected'),
    [
        (T0 + np.arange(10) * 50 * MS, 5 * MS, (20, 0, 0, 0, 0, '')),
        (T0 + np.array([0, 1, 2, 5, 6, 7]) * 50 * MS, 5 * MS, (20, 1, 0, 0, 0, '')),
        (T0 + np.array([0, 1, 1, 2, 3]) * 50 * MS, 5 * MS, (20, 0, 1, 0, 0, '')),
        (T0 + np.array([*range(9), 10, 9, 11, 12]) * 50 * MS, 5 * MS, (20, 0, 0, 1, 0, '')),
        (T0 + np.array([0, 1, 2, -40, -39]) * 50 * MS, 5 * MS, (20, 0, 0, 0, 1, 'jumps back')),
        (T0 + np.arange(5) * 50 * MS, -37 * SECOND, (20, 0, 0, 0, 0, 'atomic time')),
        (np.arange(5) * 50 * MS + SECOND, T0, (20, 0, 0, 0, 0, 'switched on')),
        (np.zeros(3, np.int64), T0, (None, 0, 2, 0, 0, 'all stamps are zero')),
        (T0 + np.arange(5) * 50 * MS, 20 * SECOND, (20, 0, 0, 0, 0, 'too_old')),
        (T0 + np.arange(1), 0, (None, 0, 0, 0, 0, '')),
    ],
)  # fmt: skip
def test_clocks(stamps, delay_ns, expected):
    timing = timing_of(stamps.tolist(), delay_ns)
    got = (timing.rate_hz, timing.gaps, timing.repeats, timing.steps_back, timing.jumps_back)
    assert got == expected[:5]
    assert expected[5] in ' '.join(timing.notes)
    assert bool(timing.notes) == bool(expected[5])


def test_topics_without_stamps():
    tally = TimingTally()
    for index in range(4):
        tally.add(Arrival(T0 + index * SECOND, '/tf', None, 10))
    assert (tally.timing().rate_hz, tally.timing().delay, tally.timing().num_bytes) == (
        1,
        None,
        40,
    )


def test_the_metadata_of_rosbag2_is_no_custom_data(tmp_path):
    from mcap.writer import Writer

    with (tmp_path / 'a.mcap').open('wb') as stream:
        writer = Writer(stream)
        writer.start(profile='ros2')
        text = 'version: 9\ncustom_data:\n  condition: fog\n'
        writer.add_metadata('rosbag2', {'serialized_metadata': text})
        schema = writer.register_schema('std_msgs/msg/Empty', 'ros2msg', b'')
        channel = writer.register_channel('/x', 'cdr', schema)
        writer.add_message(channel, T0, b'\x00\x01\x00\x00\x00', T0)
        writer.finish()
    with open_bag(tmp_path / 'a.mcap') as bag:
        assert bag.custom_data == {'condition': 'fog'}
