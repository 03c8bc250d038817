"""The annotated recording opens in Foxglove and RViz: whole, defined, and with all they show."""

from itertools import pairwise
import json
from pathlib import Path
import re

from bundles import CLASSES, MODALITIES, write_tiny_bundle
from mcap.reader import make_reader
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.image import decode_image, decode_label_image
from mle_sam_ros.core.point_fields import read_points
from mle_sam_ros.core.stamp import stamp_ns
from mle_sam_ros.core.transform_buffer import TransformBuffer
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.viewing import annotated
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import get_typestore, Stores
from tiny_drive import BASE_FROM_OPTICAL, CAMERA_FRAME, EVENT_FRAME, LIDAR_FRAME, write_drive
import yaml

CONFIG = Path(__file__).parents[2] / 'config'
NODE = '/mle_sam/perception'
NUM_FRAMES = 20
# Topics that only a node has, and what a replay has in their place.
LIVE_ONLY = {f'{NODE}/overlay': annotated.OVERLAY_TOPIC, '/lidar/points': annotated.POINTS_TOPIC}


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory) -> Path:
    """With a LiDAR that falls silent half-way."""
    path = tmp_path_factory.mktemp('drive') / 'drive.mcap'
    return write_drive(path, NUM_FRAMES, silent={'lidar': range(10, NUM_FRAMES)})


@pytest.fixture(scope='module')
def recording(drive, bundle, tmp_path_factory) -> Path:
    return run(drive, bundle, tmp_path_factory.mktemp('out') / 'out', annotated='full')


def run(drive: Path, bundle: Path, out: Path, **options) -> Path:
    replay(Settings(drive, bundle, threads=1, **options), out)
    return out / annotated.ANNOTATED_NAME


def messages_of(recording: Path, topic: str) -> list:
    with open_bag(recording) as bag:
        return [item.message for item in bag.messages([topic])]


def pictures_of(recording: Path, topic: str) -> list[np.ndarray]:
    return [decode_image(message, topic) for message in messages_of(recording, topic)]


def test_the_file_is_whole_indexed_and_in_order(recording):
    with recording.open('rb') as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        items = list(reader.iter_messages(log_time_order=False))
    times = [message.log_time for _, _, message in items]
    assert all(early <= late for early, late in pairwise(times))
    chunks = summary.chunk_indexes
    assert chunks
    assert all(chunk.message_index_offsets for chunk in chunks)
    assert (min(times), max(times)) == (
        min(chunk.message_start_time for chunk in chunks),
        max(chunk.message_end_time for chunk in chunks),
    )
    statistics = summary.statistics
    assert statistics.message_count == len(items)
    assert statistics.metadata_count == len(summary.metadata_indexes) > 0
    assert all(statistics.channel_message_counts[number] for number in summary.channels)
    for channel in summary.channels.values():
        schema = summary.schemas[channel.schema_id]
        assert (channel.message_encoding, schema.encoding) == ('cdr', 'ros2msg')
        assert schema.data.strip()


def test_schemas_hold_all_that_they_name(recording):
    """Foxglove knows no type but those that stand in the file."""
    with recording.open('rb') as stream:
        schemas = make_reader(stream).get_summary().schemas.values()
    for schema in schemas:
        first, *others = schema.data.decode().split('=' * 80 + '\n')
        defined = {part.split('\n', 1)[0].removeprefix('MSG: ') for part in others}
        for text in [first, *(part.split('\n', 1)[1] for part in others)]:
            for line in filter(None, (line.split('#')[0].strip() for line in text.splitlines())):
                kind = re.sub(r'\[.*\]|<=.*', '', line.split()[0])
                assert '/' not in kind or kind in defined, (schema.name, kind)


def test_rosbags_reads_every_message(recording):
    with AnyReader([recording], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)
        (static,) = [c for c in reader.connections if c.topic == '/tf_static']
    (qos,) = static.ext.offered_qos_profiles
    assert qos.durability.name == 'TRANSIENT_LOCAL'
    assert qos.reliability.name == 'RELIABLE'


def test_each_frame_has_all_that_belongs_to_it(recording):
    with open_bag(recording) as bag:
        stamps: dict[str, list[int]] = {}
        for item in bag.messages([topic for topic in bag.topics if topic.startswith(NODE)]):
            assert item.message.header.frame_id == CAMERA_FRAME
            stamps.setdefault(item.topic, []).append(stamp_ns(item.message.header))
        counts = {topic: len(list(bag.raw([topic]))) for topic in bag.topics}
    points = stamps.pop(annotated.POINTS_TOPIC)
    (frames,) = {tuple(times) for times in stamps.values()}
    assert len(frames) == NUM_FRAMES
    # Sweeps come with every other frame, until they stop, which an empty one tells.
    assert len(points) == 6
    assert set(points) < set(frames)
    widths = [message.width for message in messages_of(recording, annotated.POINTS_TOPIC)]
    assert all(20 < width < 300 for width in widths[:5])
    assert widths[5:] == [0]
    for topic in (
        annotated.CAMERA_TOPIC, annotated.TRUTH_TOPIC, annotated.ERROR_TOPIC, annotated.MIOU_TOPIC
    ):  # fmt: skip
        assert counts[topic] == NUM_FRAMES, topic
    assert counts[annotated.TRANSFORMS_TOPIC] == 1


def test_points_are_painted_as_the_mask_says(recording):
    (message, *_) = messages_of(recording, annotated.POINTS_TOPIC)
    names = ('x', 'y', 'z', 'rgb', 'intensity', 'label', 'confidence')
    points = read_points(message, names, 'points')
    mask = next(
        decode_label_image(other, 'mask')
        for other in messages_of(recording, annotated.MASK_TOPIC)
        if stamp_ns(other.header) == stamp_ns(message.header)
    )
    u = np.floor(90 * points['x'] / points['z'] + 79.5 + 0.5).astype(int)
    v = np.floor(90 * points['y'] / points['z'] + 39.5 + 0.5).astype(int)
    np.testing.assert_array_equal(points['label'], mask[v, u])
    colours = points['rgb'].copy().view(np.uint32)
    assert 1 < len(np.unique(colours)) == len(np.unique(points['label']))


def test_transforms_are_those_of_the_rig(recording):
    (message,) = messages_of(recording, annotated.TRANSFORMS_TOPIC)
    frames = {item.child_frame_id: item.header.frame_id for item in message.transforms}
    assert frames[CAMERA_FRAME] == 'base_link'
    assert frames[LIDAR_FRAME] == frames[EVENT_FRAME] == CAMERA_FRAME
    buffer = TransformBuffer()
    buffer.receive(message, 'tf_static', is_static=True)
    np.testing.assert_allclose(
        buffer.static('base_link', CAMERA_FRAME), BASE_FROM_OPTICAL, atol=1e-9
    )
    np.testing.assert_allclose(buffer.static('base_link', LIDAR_FRAME), np.eye(4), atol=1e-9)


def test_truth_is_in_the_colours_of_the_classes_and_errors_where_the_mask_is_wrong(
    drive, recording
):
    labels = [
        decode_label_image(message, 'labels')
        for message in messages_of(drive, '/ground_truth/labels')
    ]
    masks = [
        decode_label_image(message, 'mask')
        for message in messages_of(recording, annotated.MASK_TOPIC)
    ]
    truths = pictures_of(recording, annotated.TRUTH_TOPIC)
    errors = pictures_of(recording, annotated.ERROR_TOPIC)
    assert len(labels) == len(masks) == len(truths) == len(errors) == NUM_FRAMES
    for label, mask, truth, error in zip(labels, masks, truths, errors, strict=True):
        for number in np.unique(label):
            assert len(np.unique(truth[label == number], axis=0)) == 1
        red, _, blue = np.moveaxis(error.astype(float), 2, 0)
        warmth = red - blue
        assert warmth[label != mask].mean() > warmth[label == mask].mean() + 20


def test_the_log_tells_when_sensors_fall_away(recording):
    lines = [(entry.level, entry.msg) for entry in messages_of(recording, annotated.LOG_TOPIC)]
    assert lines == [(30, 'lidar absent')]


def test_metadata_tell_classes_and_the_run(recording, drive):
    with recording.open('rb') as stream:
        records = {item.name: item.metadata for item in make_reader(stream).iter_metadata()}
    names = {str(number): name for number, name in enumerate(CLASSES)} | {'255': 'unlabelled'}
    assert records['label_info'] == names
    run_record = {name: json.loads(text) for name, text in records['mle_sam_run'].items()}
    metrics = json.loads((recording.parent / 'metrics.json').read_text())
    assert {'bags', 'bundle', 'software', 'arguments'} == set(run_record)
    assert run_record == {name: metrics[name] for name in run_record}


def test_pictures_and_points_are_of_five_frames_a_second(drive, bundle, recording, tmp_path):
    sampled = run(drive, bundle, tmp_path / 'sampled')
    shown = [stamp_ns(message.header) for message in messages_of(sampled, annotated.OVERLAY_TOPIC)]
    frames = [stamp_ns(message.header) for message in messages_of(recording, annotated.MASK_TOPIC)]
    firsts = {time // 200_000_000: time for time in reversed(frames)}
    assert shown == sorted(firsts.values())
    with open_bag(sampled) as few, open_bag(recording) as all_of_it:
        assert few.topics == all_of_it.topics
        for topic in few.topics.keys() - {annotated.POINTS_TOPIC}:
            some, every = (
                [bytes(item.cdr) for item in bag.raw([topic])] for bag in (few, all_of_it)
            )
            assert set(some) <= set(every) if 'compressed' in topic else some == every
    points = messages_of(sampled, annotated.POINTS_TOPIC)
    assert {stamp_ns(message.header) for message in points} < set(shown)


def test_what_it_costs_can_be_saved(drive, bundle, recording, tmp_path):
    masks = run(drive, bundle, tmp_path / 'masks', annotated='masks')
    with open_bag(masks) as few, open_bag(recording) as all_of_it:
        assert set(few.topics) < set(all_of_it.topics)
        assert [bytes(item.cdr) for item in few.raw([annotated.MASK_TOPIC])] == [
            bytes(item.cdr) for item in all_of_it.raw([annotated.MASK_TOPIC])
        ]
    assert masks.stat().st_size < recording.stat().st_size / 3
    none = run(drive, bundle, tmp_path / 'none', annotated='none')
    assert not none.exists()
    assert (none.parent / 'metrics.json').exists()


# What viewers are told to show


def values_at(message, path: str) -> list:
    """What a Foxglove message path without its topic picks; as far as the layout needs it."""
    found = [message]
    for name, index, key, wanted in re.findall(
        r'\.(\w+)(?:\[(:|\d+)\])?(?:\{(\w+)=="([^"]*)"\})?', path
    ):
        found = [getattr(item, name) for item in found]
        if index == ':':
            found = [part for item in found for part in item]
        elif index:
            found = [item[int(index)] for item in found]
        if key:
            found = [item for item in found if getattr(item, key) == wanted]
    return found


def layout_panels() -> dict[str, dict]:
    return json.loads((CONFIG / 'foxglove_layout.json').read_text())['configById']


def test_every_topic_and_path_of_the_foxglove_layout_is_there(recording):
    panels = layout_panels()
    topics, paths = set(), set()
    for panel in panels.values():
        mode = panel.get('imageMode', {})
        topics |= {mode[key] for key in ('imageTopic', 'calibrationTopic') if key in mode}
        topics |= set(panel.get('topics', {}))
        topics |= {panel['topicToRender']} if 'topicToRender' in panel else set()
        paths |= {line['value'] for line in panel.get('paths', ())}
    with open_bag(recording) as bag:
        assert topics <= set(bag.topics)
        for path in paths:
            topic, fields = re.fullmatch(r'(/[\w/]+)(\..+)', path).groups()
            read = [values_at(item.message, fields) for item in bag.messages([topic])]
            picked = [value for values in read for value in values]
            assert len(picked) >= 8, path
            assert all(len(values) <= 1 for values in read), path
            if 'present' not in path:
                # Plots take numbers; NaN is a gap.
                assert np.isfinite(picked).sum() >= 8, path
    assert {f'{name}/present' for name in MODALITIES} <= {
        key for path in paths for key in re.findall(r'key=="([^"]+)"', path)
    }


def test_numbers_to_plot_are_those_of_the_diagnostics(recording):
    texts = messages_of(recording, annotated.ROUTER_WEIGHTS_TOPIC)
    trusts = messages_of(recording, annotated.TRUST_TOPIC)
    ages = messages_of(recording, annotated.AGES_TOPIC)
    for text, trust, age in zip(texts, trusts, ages, strict=True):
        statuses = {
            status.name: {item.key: item.value for item in status.values} for status in text.status
        }
        written = [list(statuses[f'level_{level}'].values()) for level in range(3)]
        assert [dimension.size for dimension in trust.layout.dim] == [3, len(MODALITIES)]
        np.testing.assert_allclose(trust.data, np.float32(written).ravel(), atol=1e-6)
        expected = [float(statuses['sensors'].get(f'{name}/age_ms', 'nan')) for name in MODALITIES]
        np.testing.assert_allclose(age.data, expected, atol=1e-3)


def test_the_foxglove_layout_shows_every_panel_that_it_has():
    layout = json.loads((CONFIG / 'foxglove_layout.json').read_text())
    panels = layout['configById']
    shown: list[str] = []

    def walk(part):
        if isinstance(part, str):
            shown.append(part)
            for tab in panels[part].get('tabs', ()):
                walk(tab['layout'])
        else:
            assert part['direction'] in ('row', 'column')
            walk(part['first'])
            walk(part['second'])

    walk(layout['layout'])
    assert sorted(shown) == sorted(panels)


RVIZ_TYPES = {
    'rviz_default_plugins/Image': 'sensor_msgs/msg/Image',
    'rviz_default_plugins/PointCloud2': 'sensor_msgs/msg/PointCloud2',
    'rviz_default_plugins/Camera': 'sensor_msgs/msg/Image',
}


def test_rviz_shows_what_is_there(recording):
    manager = yaml.safe_load((CONFIG / 'perception.rviz').read_text())['Visualization Manager']
    with open_bag(recording) as bag:
        types = bag.topics
    (static,) = messages_of(recording, annotated.TRANSFORMS_TOPIC)
    frames = {item.header.frame_id for item in static.transforms}
    assert manager['Global Options']['Fixed Frame'] in frames
    shown = set()
    for display in manager['Displays']:
        if 'Topic' not in display:
            continue
        topic = display['Topic']['Value']
        shown.add(topic)
        kind = types[LIVE_ONLY.get(topic, topic)]
        expected = RVIZ_TYPES[display['Class']]
        # RViz takes the transport from the end of the topic's name.
        is_packed = kind == 'sensor_msgs/msg/CompressedImage'
        assert kind == expected or (is_packed and display['Class'].endswith('Image')), topic
    assert {annotated.OVERLAY_TOPIC, annotated.POINTS_TOPIC} <= shown
