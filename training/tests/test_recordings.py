from dataclasses import replace

from mle_sam.datasets.config import DriveData
from mle_sam.datasets.recordings import recorded_samples, recorded_shards
from mle_sam.datasets.shards import read_record, read_sample
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.image import decode_image, decode_label_image
from mle_sam_ros.core.projection import Projection
from mle_sam_ros.simulation.classes import CLASS_NAMES
from mle_sam_ros.simulation.scenario import Scenario
from mle_sam_ros.simulation.synthesize import synthesize
import numpy as np
import pytest
from tiny_drive import PERIOD, START, write_drive

NUM_FRAMES = 8
NAMES = ('camera', 'event', 'lidar')
STAMPS = [START + (index + 2) * PERIOD for index in range(NUM_FRAMES)]


@pytest.fixture
def data(tmp_path):
    return DriveData(str(tmp_path / 'shards'))


@pytest.fixture
def bag(tmp_path):
    return write_drive(tmp_path / 'town.mcap', NUM_FRAMES, num_classes=3)


def only(network, *names):
    specs = tuple(spec for spec in network.modalities if spec.name in names)
    return replace(network, modalities=specs)


def samples_of(bag, data, network):
    return list(recorded_samples(bag, data, network))


def by_hand(bag, network):
    """For each frame its label map and rasters, paired without the assembler.

    The events of the 30 ms until the stamp, and the newest sweep: every second frame has its own.
    """
    with open_bag(bag) as reader:
        topics = find_topics(reader)
        projection = Projection(network, calibration_of(reader, topics))
        of = {
            name: [item.message for item in reader.messages([getattr(topics, name)])]
            for name in ('camera', 'event', 'lidar', 'labels')
        }
    decoder = EventDecoder()
    events = Events.concatenate([decoder.decode(message, 'e') for message in of['event']])
    window_ns = next(s.encoding.window_ns for s in network.modalities if s.name == 'event')
    for index, stamp_ns in enumerate(STAMPS):
        data = {
            'camera': decode_image(of['camera'][index], 'c'),
            'event': events.window(stamp_ns - window_ns, stamp_ns),
            'lidar': decode_cloud(of['lidar'][index // 2], 'l'),
        }
        rasters = {name: projection.raster(name, data[name]) for name in NAMES}
        yield decode_label_image(of['labels'][index], 'l'), rasters


def test_samples_are_what_the_vehicle_would_have_seen(bag, data, network):
    samples = samples_of(bag, data, network)
    assert len(samples) == NUM_FRAMES
    for sample, stamp_ns, (labels, rasters) in zip(
        samples, STAMPS, by_hand(bag, network), strict=True
    ):
        assert sample.rasters.keys() == set(NAMES)
        for name, expected in rasters.items():
            assert expected.any()
            assert np.array_equal(sample.rasters[name], expected), name
        height, width = network.input_hw
        rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
        columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
        assert np.array_equal(sample.labels, labels[rows][:, columns])
        assert sample.source == f'town.mcap at {stamp_ns / 1e9:.3f} s'
        assert (sample.condition, sample.failure) == ('unknown', 'unknown')


def test_shards_hold_the_samples_and_are_made_once(bag, data, network):
    shards = recorded_shards(bag, data, network)
    assert [shard.name for shard in shards] == ['part_00000']
    assert shards[0].parent.name.startswith('town_')
    for index, expected in enumerate(samples_of(bag, data, network)):
        stored = read_sample(shards[0], index, network)
        assert np.array_equal(stored.rasters['event'], expected.rasters['event'])
        assert np.array_equal(stored.labels, expected.labels)
        assert stored[2:] == expected[2:]
    before = (shards[0] / 'moments.json').stat().st_mtime_ns
    assert recorded_shards(bag, data, network) == shards
    assert (shards[0] / 'moments.json').stat().st_mtime_ns == before


def test_a_long_drive_is_cut_into_parts(bag, data, network, monkeypatch):
    monkeypatch.setattr('mle_sam.datasets.recordings._SAMPLES_PER_SHARD', 3)
    shards = recorded_shards(bag, data, network)
    assert [len(read_record(shard)) for shard in shards] == [3, 3, 2]
    sources = [source for shard in shards for source in read_record(shard).sources]
    assert sources == [sample.source for sample in samples_of(bag, data, network)]


def test_whatever_shapes_a_shard_leads_to_another(bag, data, network, tmp_path):
    specs = tuple(
        replace(spec, encoding=replace(spec.encoding, dilation_px=1))
        if spec.name == 'lidar'
        else spec
        for spec in network.modalities
    )
    with open_bag(bag) as reader:
        calibration = calibration_of(reader, find_topics(reader))
    moved = calibration.camera_from['lidar'].copy()
    moved[0, 3] += 0.5
    camera_from = {**calibration.camera_from, 'lidar': moved}
    write_calibration(tmp_path / 'moved.yaml', replace(calibration, camera_from=camera_from))
    directories = {
        recorded_shards(bag, each_data, each_network)[0].parent
        for each_data, each_network in (
            (data, network),
            (data, replace(network, modalities=specs)),
            (data, only(network, 'camera')),
            (data, replace(network, input_hw=(32, 64))),
            (replace(data, calibration=str(tmp_path / 'moved.yaml')), network),
        )
    }
    assert len(directories) == 5
    write_drive(bag, NUM_FRAMES - 1, num_classes=3)
    assert recorded_shards(bag, data, network)[0].parent not in directories


def test_silent_sensors_are_absent(tmp_path, data, network):
    silent = {'lidar': range(2, 8), 'event': range(3, 6)}
    bag = write_drive(tmp_path / 'a.mcap', NUM_FRAMES, silent=silent, num_classes=3)
    samples = samples_of(bag, data, network)
    present = [sorted(sample.rasters) for sample in samples]
    assert present[:2] == [['camera', 'event', 'lidar']] * 2
    assert present[5] == ['camera']
    (shard,) = recorded_shards(bag, data, network)
    assert [sorted(read_sample(shard, i, network).rasters) for i in range(len(samples))] == present


def test_a_recording_without_lidar_gives_samples_without_it(tmp_path, data, network):
    bag = write_drive(tmp_path / 'a.mcap', 3, without=('/lidar/points',), num_classes=3)
    assert [set(s.rasters) for s in samples_of(bag, data, network)] == [{'camera', 'event'}] * 3


def test_a_silent_camera_leaves_the_other_sensors(tmp_path, data, network):
    silent = {'camera': range(2, 16)}
    bag = write_drive(tmp_path / 'a.mcap', 16, silent=silent, num_classes=3)
    blind = [s for s in samples_of(bag, data, network) if 'camera' not in s.rasters]
    assert blind
    assert all({'event', 'lidar'} & set(sample.rasters) for sample in blind)


def test_a_network_of_one_sensor(bag, data, network):
    samples = samples_of(bag, data, only(network, 'camera'))
    assert [set(sample.rasters) for sample in samples] == [{'camera'}] * NUM_FRAMES


def test_noted_weather_and_failure(bag, data, network, tmp_path):
    with (
        open_bag(bag) as reader,
        BagWriter(tmp_path / 'b.mcap', {'condition': 'fog', 'failure': 'none'}) as writer,
    ):
        for item in reader.messages():
            writer.write(item.topic, item.message, item.log_time_ns)
    samples = samples_of(tmp_path / 'b.mcap', data, network)
    assert {(sample.condition, sample.failure) for sample in samples} == {('fog', 'none')}


def test_a_simulated_recording(tmp_path, data, network):
    """The first sweep arrives after 110 ms; weather and classes are the town's."""
    synthesize(tmp_path / 'a.mcap', Scenario(3, 0.2, 'rain'), num_processes=1, show_progress=False)
    samples = samples_of(tmp_path / 'a.mcap', data, network)
    assert ['lidar' in sample.rasters for sample in samples] == [False, False, False, True]
    assert all({'camera', 'event'} <= set(sample.rasters) for sample in samples[1:])
    assert {(sample.condition, sample.failure) for sample in samples} == {('rain', 'none')}
    assert set(np.unique([sample.labels for sample in samples])) <= {*range(len(CLASS_NAMES)), 255}
    assert len(np.unique(samples[-1].labels)) > 3


def test_a_broken_message_costs_a_frame_and_is_reported(tmp_path, data, network):
    breaks = {3: {'encoding': 'rgb565'}}
    bag = write_drive(tmp_path / 'a.mcap', NUM_FRAMES, breaks=breaks, num_classes=3)
    with pytest.warns(
        UserWarning, match=r'a\.mcap: messages that could not be used: 1, mostly: .*rgb565'
    ):
        samples = samples_of(bag, data, network)
    assert len(samples) == NUM_FRAMES - 1


@pytest.mark.parametrize(
    ('without', 'says'),
    [
        (('/ground_truth/labels',), r'a\.mcap: expected a topic with label maps'),
        (('/tf_static',), r'a\.mcap: event: .* camera_from\.event.* as data\.calibration'),
        (('/event_camera/camera_info',), r'a\.mcap: event: .* none for intrinsics of event'),
        (('/camera/image',), r'a\.mcap: expected a camera topic'),
    ],
)
def test_what_a_recording_lacks_is_named(tmp_path, data, network, without, says):
    bag = write_drive(tmp_path / 'a.mcap', 2, without=without, num_classes=3)
    with pytest.raises(InputError, match=says):
        recorded_shards(bag, data, network)
    assert not list((tmp_path / 'shards').glob('a_*'))


def test_chosen_topics(tmp_path, data, network):
    bag = write_drive(tmp_path / 'a.mcap', 2, num_classes=3)
    chosen = replace(data, topics={'lidar': '/nowhere'})
    with pytest.raises(InputError, match='expected /nowhere for lidar'):
        samples_of(bag, chosen, network)


def test_labels_without_frames(tmp_path, data, network):
    bag = write_drive(tmp_path / 'a.mcap', 4, num_classes=3)
    with open_bag(bag) as reader, BagWriter(tmp_path / 'late.mcap') as writer:
        for item in reader.messages():
            if item.topic == '/ground_truth/labels':
                item.message.header.stamp.sec += 100
            writer.write(item.topic, item.message, item.log_time_ns)
    with pytest.raises(InputError, match=r'late\.mcap: expected label maps with the stamps'):
        recorded_shards(tmp_path / 'late.mcap', data, network)
    assert not list((tmp_path / 'shards').glob('late_*'))


def test_no_recording(data, network, tmp_path):
    with pytest.raises(InputError, match=r'nowhere\.mcap: expected a \.mcap, \.db3 or \.bag file'):
        recorded_shards(tmp_path / 'nowhere.mcap', data, network)
