"""The bag of a drive: what is in it, when it arrives, and that it is what training saw."""

from collections import defaultdict
import subprocess
import sys

import cv2
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.assembler import Assembler
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.image import decode_image, decode_label_image
from mle_sam_ros.core.lidar_raster import lidar_raster
from mle_sam_ros.core.manifest import LidarEncoding
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.core.streams import CameraStream, NearestStream, WindowStream
from mle_sam_ros.core.sweep import whole
from mle_sam_ros.simulation.drive import Drive
from mle_sam_ros.simulation.failures import Failure
from mle_sam_ros.simulation.moments import Instant, standard_sensors
from mle_sam_ros.simulation.recording import EPOCH_NS
from mle_sam_ros.simulation.scenario import parse_failure, parse_outage, Scenario
from mle_sam_ros.simulation.synthesize import synthesize
import numpy as np
import pytest

MS = 1_000_000
# The last frame before 0.4 s pairs with the sweep that begins at 237 ms; then things go wrong.
SCENARIO = Scenario(
    77,
    0.5,
    'dusk',
    (parse_failure('over_exposure:0.4:9'), parse_failure('event_low_resolution:0.45:9')),
    (parse_outage('lidar:0.1:0.2'), parse_outage('camera:0.1:0.2'), parse_outage('event:0:0.05')),
)
PAIRED_NS, SWEEP_NS = 350 * MS, 237 * MS
IN_SCRIPT = """
import sys
from mle_sam_ros.simulation.scenario import parse_failure, Scenario
from mle_sam_ros.simulation.synthesize import synthesize
if __name__ == '__main__':
    scenario = Scenario(3, 0.2, 'rain', (parse_failure('lidar_jitter'),))
    synthesize(sys.argv[1], scenario, num_processes=2, show_progress=False)
"""


@pytest.fixture(scope='module')
def items(tmp_path_factory):
    path = tmp_path_factory.mktemp('drive') / 'drive.mcap'
    synthesize(path, SCENARIO, num_processes=1, show_progress=False)
    with open_bag(path) as bag:
        return list(bag.messages())


@pytest.fixture(scope='module')
def by_topic(items):
    topics = defaultdict(list)
    for item in items:
        topics[item.topic].append(item)
    return topics


def times_ms(found):
    """Stamps and log times since the start of the drive, milliseconds."""
    return [
        ((stamp_ns(item.message.header) - EPOCH_NS) / MS, (item.log_time_ns - EPOCH_NS) / MS)
        for item in found
    ]


def test_messages_arrive_when_a_vehicle_would_get_them(by_topic):
    frames = [50.0 * n for n in range(10)]
    heard = [time for time in frames if not 100 <= time < 200]
    assert times_ms(by_topic['/camera/image']) == [(time, time + 8) for time in heard]
    for topic in ('/camera/camera_info', '/ground_truth/labels'):
        assert times_ms(by_topic[topic]) == [(time, time + 8) for time in frames]
    assert times_ms(by_topic['/lidar/points']) == [(37, 147), (237, 347), (337, 447)]
    packets = [time for _, time in times_ms(by_topic['/event_camera/events'])]
    assert packets == [10.0 * n + 2 for n in range(6, 50)]
    assert [time for time, _ in times_ms(by_topic['/odometry'])] == [20.0 * n for n in range(25)]
    assert len(by_topic['/event_camera/camera_info']) == len(by_topic['/tf_static']) == 1


def test_log_times_never_step_back(items):
    assert items[0].topic == '/tf_static'
    assert (np.diff([item.log_time_ns for item in items]) >= 0).all()


def test_events_lie_within_their_packet(by_topic):
    decoder = EventDecoder()
    for item in by_topic['/event_camera/events']:
        events = decoder.decode(item.message, 'event')
        until_ns = item.log_time_ns - 2 * MS
        assert len(events) > 1000
        assert until_ns - 10 * MS < events.t_ns[0] <= events.t_ns[-1] <= until_ns


def test_points_have_their_time_and_their_ring(by_topic):
    message = by_topic['/lidar/points'][0].message
    assert [field.name for field in message.fields] == ['x', 'y', 'z', 'intensity', 't', 'ring']
    cloud = decode_cloud(message, 'lidar')
    ahead_ns = cloud.time_ns - stamp_ns(message.header)
    assert (np.diff(ahead_ns) >= 0).all()
    assert 0 <= ahead_ns[0] < ahead_ns[-1] < 100 * MS
    ring = message.data.reshape(len(cloud.xyz), -1)[:, 20:22].copy().view(np.uint16)[:, 0]
    elevation = np.arctan2(cloud.xyz[:, 2], np.hypot(cloud.xyz[:, 0], cloud.xyz[:, 1]))
    middle = [np.median(elevation[ring == number]) for number in range(64)]
    assert (np.diff(middle) < 0).all()


def test_failures_begin_at_their_time(by_topic):
    brightness = {
        stamp: decode_image(item.message, 'camera').mean()
        for item in by_topic['/camera/image']
        for stamp, _ in times_ms([item])
    }
    assert brightness[400] > 1.8 * brightness[350]
    decoder = EventDecoder()
    columns = [
        len(np.unique(decoder.decode(item.message, 'event').x))
        for item in by_topic['/event_camera/events']
    ]
    assert min(columns[:39]) > 300  # the packets that end before 450 ms
    assert max(columns[39:]) < 100


def test_odometry_starts_at_the_origin_and_moves_with_its_twist(by_topic):
    first, *_, last = (item.message for item in by_topic['/odometry'])
    start, end = first.pose.pose.position, last.pose.pose.position
    assert max(abs(start.x), abs(start.y), abs(start.z), abs(start.x)) < 1e-9
    assert abs(first.pose.pose.orientation.w) > 1 - 1e-9
    way = np.hypot(end.x, end.y)
    assert way == pytest.approx(0.48 * first.twist.twist.linear.x, rel=0.05)
    assert abs(first.twist.twist.linear.y) < 0.1 * first.twist.twist.linear.x


@pytest.fixture(scope='module')
def paired(items):
    """The set that the vehicle assembles for the frame at PAIRED_NS."""
    lidar = NearestStream('lidar', offset_ns=50 * MS)
    assembler = Assembler(CameraStream(), [WindowStream('event'), lidar])
    decoder, sets = EventDecoder(), {}
    for item in items:
        while (sensor_set := assembler.poll(item.log_time_ns)) is not None:
            sets[sensor_set.stamp_ns - EPOCH_NS] = sensor_set
        stream = {
            '/camera/image': 'camera',
            '/event_camera/events': 'event',
            '/lidar/points': 'lidar',
        }
        if item.topic == '/event_camera/events':
            events = decoder.decode(item.message, 'event')
            assembler.push('event', int(events.t_ns[-1]), events)
        elif item.topic in stream:
            assembler.push(stream[item.topic], stamp_ns(item.message.header), item.message)
    return sets[PAIRED_NS]


@pytest.fixture(scope='module')
def moment():
    """The same instant, made as the instants for training are made."""
    drive = Drive(SCENARIO.seed, SCENARIO.seconds)
    instant = Instant(drive, standard_sensors(), PAIRED_NS, PAIRED_NS - SWEEP_NS - 50 * MS)
    return instant.sense(SCENARIO.light(), Failure(), np.random.default_rng(0))


def test_paired_frame_is_the_moment_that_training_saw(items, paired, moment):
    image = decode_image(paired.samples['camera'].payload, 'camera')
    # Exposure differs by up to 1.2 / 0.85 between any two shots, before gamma.
    assert image.mean() == pytest.approx(moment.image.mean(), rel=0.25)
    means = [
        cv2.resize(shot, (80, 40), interpolation=cv2.INTER_AREA) for shot in (image, moment.image)
    ]
    assert np.corrcoef(means[0].ravel(), means[1].ravel())[0, 1] > 0.99
    noise = [np.diff(shot[:40].astype(float), axis=1).std() for shot in (image, moment.image)]
    assert noise[0] == pytest.approx(noise[1], rel=0.3)
    (truth,) = (
        item.message
        for item in items
        if item.topic == '/ground_truth/labels'
        and stamp_ns(item.message.header) == paired.stamp_ns
    )
    np.testing.assert_array_equal(decode_label_image(truth, 'labels'), moment.label_map)


def test_paired_events_are_those_of_the_moment(paired, moment):
    events = paired.samples['event'].payload
    assert len(events) == pytest.approx(len(moment.events), rel=0.1)
    assert events.polarity.mean() == pytest.approx(moment.events.polarity.mean(), abs=0.05)
    counts = []
    for part in (events, moment.events):
        count, _, _ = np.histogram2d(part.y, part.x, [26, 34], [[0, 260], [0, 346]])
        counts.append(count.ravel())
    assert np.corrcoef(*counts)[0, 1] > 0.95


def test_paired_sweep_is_that_of_the_moment(paired, moment):
    message = paired.samples['lidar'].payload
    assert stamp_ns(message.header) == EPOCH_NS + SWEEP_NS
    camera = moment.calibration.cameras['camera'].scaled_to((224, 448))
    camera_from_lidar = moment.calibration.camera_from['lidar']
    rasters = [
        lidar_raster([whole('lidar', cloud, camera_from_lidar)], camera, LidarEncoding(1.0, 3))
        for cloud in (decode_cloud(message, 'lidar'), moment.cloud)
    ]
    filled = [raster[..., 0] > 0 for raster in rasters]
    assert filled[0].mean() == pytest.approx(filled[1].mean(), rel=0.03)
    assert filled[0].mean() > 0.2
    ranges = [raster[filled[0] & filled[1], 0] for raster in rasters]
    assert np.median(np.abs(ranges[0] - ranges[1])) < 0.1
    bright = [raster[filled[0] & filled[1], 1].mean() for raster in rasters]
    assert bright[0] == pytest.approx(bright[1], rel=0.05)


@pytest.mark.slow
def test_fresh_processes_give_the_same_bytes(tmp_path):
    (tmp_path / 'make.py').write_text(IN_SCRIPT)
    command, path = [sys.executable, 'make.py', 'shared.mcap'], tmp_path / 'alone.mcap'
    subprocess.run(command, cwd=tmp_path, check=True, env={'PYTHONPATH': ':'.join(sys.path)})
    scenario = Scenario(3, 0.2, 'rain', (parse_failure('lidar_jitter'),))
    synthesize(path, scenario, num_processes=1, show_progress=False)
    alone = path.read_bytes()
    assert len(alone) > 1_000_000
    assert alone == (tmp_path / 'shared.mcap').read_bytes()


def test_events_as_clouds_are_the_same_events(tmp_path):
    decoded = []
    for kind in ('event_packet', 'point_cloud2'):
        path = tmp_path / f'{kind}.mcap'
        synthesize(path, Scenario(1, 0.1, 'night'), kind, num_processes=1, show_progress=False)
        with open_bag(path) as bag:
            decoder, found = EventDecoder(), bag.messages(['/event_camera/events'])
            decoded.append([decoder.decode(item.message, kind) for item in found])
    assert len(decoded[0]) == 9
    for packet, cloud in zip(*decoded, strict=True):
        for name in ('x', 'y', 't_ns', 'polarity'):
            np.testing.assert_array_equal(getattr(packet, name), getattr(cloud, name))


def test_unknown_kind_of_event_message_is_refused(tmp_path):
    with pytest.raises(InputError, match=r'event_packet, point_cloud2, got .evt3.'):
        synthesize(tmp_path / 'drive.mcap', Scenario(1, 0.1), 'evt3')
    assert not list(tmp_path.iterdir())
