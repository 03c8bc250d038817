"""A drive is replayed whole: the same each time, every frame accounted for, or not at all."""

import json
from pathlib import Path

from bundles import CLASSES, MODALITIES, write_tiny_bundle
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.image import decode_label_image
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.viewing.annotated import CAMERA_TOPIC, MASK_TOPIC, ROUTER_WEIGHTS_TOPIC
import numpy as np
import pytest
from tiny_drive import PERIOD, START, write_drive

SUBSETS = [
    'camera+event+lidar', 'camera+event', 'camera+lidar', 'event+lidar', 'camera', 'event',
    'lidar',
]  # fmt: skip


@pytest.fixture(scope='module')
def bundle(tmp_path_factory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp('bundle') / 'tiny').directory


@pytest.fixture(scope='module')
def drive(tmp_path_factory) -> Path:
    return write_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap')


@pytest.fixture(scope='module')
def whole(drive, bundle, tmp_path_factory) -> Path:
    """The results of the drive with all subsets."""
    out = tmp_path_factory.mktemp('whole') / 'out'
    run(drive, bundle, out, all_subsets=True)
    return out


def run(drive: Path, bundle: Path, out: Path, **options) -> dict:
    replay(Settings(drive, bundle, threads=1, **options), out)
    return metrics_in(out)


def metrics_in(out: Path) -> dict:
    return json.loads((out / 'metrics.json').read_text())


def masks(out: Path) -> dict[int, bytes]:
    with open_bag(out / 'annotated.mcap') as bag:
        return {
            item.message.header.stamp.sec * 10**9 + item.message.header.stamp.nanosec: bytes(
                decode_label_image(item.message, MASK_TOPIC)
            )
            for item in bag.messages([MASK_TOPIC])
        }


def test_every_camera_frame_gets_a_mask(whole):
    metrics = metrics_in(whole)
    assert metrics['frames']['received'] == metrics['frames']['emitted'] == 20
    assert metrics['frames_scored'] == 20
    assert metrics['frames_without_mask'] == 0
    assert metrics['faults'] == {}
    assert sorted(masks(whole)) == [START + (i + 2) * PERIOD for i in range(20)]
    assert 0 < metrics['miou'] < 1
    assert list(metrics['iou']) == list(CLASSES)
    assert set(metrics['router_weights']) == {'level_0', 'level_1', 'level_2'}
    for weights in metrics['router_weights'].values():
        assert sum(item['mean'] for item in weights.values()) == pytest.approx(1, abs=1e-5)
    latency = json.loads((whole / 'latency.json').read_text())
    assert {'p50', 'p95', 'p99', 'histogram'} == set(latency['total'])
    assert sum(latency['total']['histogram'].values()) == 20


def test_a_replay_repeats_bit_for_bit(drive, bundle, whole, tmp_path):
    run(drive, bundle, tmp_path / 'again', all_subsets=True)
    for name in ('metrics.json', 'annotated.mcap'):
        assert (whole / name).read_bytes() == (tmp_path / 'again' / name).read_bytes()


def test_sweeps_that_are_encoded_once_change_no_bit(drive, bundle, whole, tmp_path):
    metrics = run(drive, bundle, tmp_path / 'out', all_subsets=True, reuse_features=True)
    assert masks(tmp_path / 'out') == masks(whole)
    assert metrics['arguments'].pop('reuse_features')
    expected = metrics_in(whole)
    del expected['arguments']['reuse_features']
    assert metrics == expected


def test_all_subsets_are_scored(whole):
    subsets = metrics_in(whole)['subsets']
    assert list(subsets) == SUBSETS
    # The first sweep arrives after the first frame has left.
    assert 18 <= subsets['camera+event+lidar']['frames_scored'] <= 20
    assert len({score['miou'] for score in subsets.values()}) == len(SUBSETS)


@pytest.mark.parametrize('sensor', ['event', 'lidar'])
def test_a_dropped_sensor_is_as_if_it_were_never_there(drive, bundle, tmp_path, sensor):
    topic = {'event': '/event_camera/events', 'lidar': '/lidar/points'}[sensor]
    without = write_drive(tmp_path / 'without.mcap', without=(topic,))
    dropped = run(drive, bundle, tmp_path / 'dropped', drop=[sensor])
    never = run(without, bundle, tmp_path / 'never')
    assert dropped['frames']['emitted'] == 20
    assert all(sensor not in key for key in dropped['subsets'])
    assert dropped['router_weights']['level_0'][sensor]['max'] == 0
    assert dropped['subsets'] == never['subsets']
    assert masks(tmp_path / 'dropped') == masks(tmp_path / 'never')


def test_without_a_camera_masks_keep_its_rate(drive, bundle, tmp_path):
    metrics = run(drive, bundle, tmp_path / 'out', drop=['camera'])
    assert metrics['frames']['received'] == metrics['frames']['emitted'] == 0
    stamps = sorted(masks(tmp_path / 'out'))
    assert len(stamps) == metrics['frames']['without_camera'] >= 14
    assert set(np.diff(stamps)) == {PERIOD}
    assert set(metrics['subsets']) <= {'event+lidar', 'event', 'lidar'}
    assert metrics['frames_scored'] == len(stamps)
    with open_bag(tmp_path / 'out' / 'annotated.mcap') as bag:
        assert CAMERA_TOPIC not in bag.topics


def test_an_outage_costs_no_mask(bundle, tmp_path):
    silent = {'camera': range(8, 20), 'lidar': range(16, 26)}
    drive = write_drive(tmp_path / 'drive.mcap', 30, silent=silent)
    metrics = run(drive, bundle, tmp_path / 'out')
    frames = metrics['frames']
    assert frames['received'] == 18
    assert frames['emitted'] + frames['superseded'] + sum(frames['rejected'].values()) == 18
    # 12 frames fail; the camera's silence shows after five periods (250 ms).
    assert 7 <= frames['without_camera'] <= 9
    # On the camera's own beat, so the label maps of its stamps fit exactly.
    assert set(masks(tmp_path / 'out')) <= {START + (i + 2) * PERIOD for i in range(30)}
    assert metrics['frames_scored'] + metrics['frames_without_mask'] == 30
    assert {'camera+event+lidar', 'event+lidar', 'camera+event'} <= set(metrics['subsets'])


def test_unreadable_frames_are_counted_and_named(bundle, tmp_path):
    breaks = {4: {'encoding': 'rgb565'}, 9: {'step': 7}}
    drive = write_drive(tmp_path / 'drive.mcap', breaks=breaks)
    metrics = run(drive, bundle, tmp_path / 'out', keep_going=True)
    assert metrics['frames']['received'] == 20
    assert metrics['frames']['emitted'] == 18
    assert sum(metrics['frames']['rejected'].values()) == 2
    assert metrics['frames_without_mask'] == 2
    assert sorted(metrics['faults'].values()) == [1, 1]
    assert any('rgb565' in fault for fault in metrics['faults'])


def test_a_drive_without_ground_truth_has_no_score(bundle, tmp_path):
    drive = write_drive(tmp_path / 'drive.mcap', without=('/ground_truth/labels',))
    metrics = run(drive, bundle, tmp_path / 'out', all_subsets=True)
    assert metrics['miou'] is None
    assert metrics['frames_scored'] == 0
    assert metrics['frames']['emitted'] == 20
    assert metrics['subsets'] == {}


def test_router_weights_are_in_the_annotated_recording(whole):
    with open_bag(whole / 'annotated.mcap') as bag:
        message = next(bag.messages([ROUTER_WEIGHTS_TOPIC])).message
    assert [status.name for status in message.status[:3]] == ['level_0', 'level_1', 'level_2']
    assert [value.key for value in message.status[0].values] == ['camera', 'event', 'lidar']


def test_earlier_results_are_replaced(drive, bundle, tmp_path):
    out = tmp_path / 'out'
    run(drive, bundle, out, with_video=True)
    assert (out / 'overlay.mp4').stat().st_size > 1000
    run(drive, bundle, out, drop=['lidar'])
    assert json.loads((out / 'metrics.json').read_text())['arguments']['drop'] == ['lidar']
    assert not (out / 'overlay.mp4').exists()


def cut(path: Path, drive: Path, num_bytes: int) -> Path:
    path.write_bytes(drive.read_bytes()[:num_bytes])
    return path


def delayed(path: Path, drive: Path, hours: int) -> Path:
    """The drive with log times that lie hours after the stamps."""
    with open_bag(drive) as source, BagWriter(path) as bag:
        for item in source.messages():
            bag.write(item.topic, item.message, item.log_time_ns + hours * 3600 * 10**9)
    return path


# Name to (what to replace of the arguments, given a directory and a good drive; what is said).
BAD_INPUTS = {
    'no bag': (lambda room, drive: {'bag_path': room / 'none.mcap'}, 'none.mcap'),
    'cut bag': (lambda room, drive: {'bag_path': cut(room / 'cut.mcap', drive, 5000)}, 'cut.mcap'),
    'empty bag': (lambda room, drive: {'bag_path': cut(room / 'e.mcap', drive, 0)}, 'e.mcap'),
    'no camera': (
        lambda room, drive: {'bag_path': write_drive(room / 'd.mcap', 3, without=CAMERA_TOPICS)},
        'd.mcap',
    ),
    'no bundle': (lambda room, drive: {'bundle_path': room / 'none'}, 'none'),
    'unknown sensor': (lambda room, drive: {'drop': ['radar']}, "got 'radar'"),
    'no sensor left': (lambda room, drive: {'drop': MODALITIES}, 'leave at least one'),
    'unknown backend': (lambda room, drive: {'backend': 'abacus'}, "got 'abacus'"),
    'unknown encoding': (
        lambda room, drive: {
            'bag_path': write_drive(room / 'd.mcap', 3, breaks={1: {'encoding': 'rgb565'}})
        },
        "got 'rgb565'",
    ),
    'wrong array length': (
        lambda room, drive: {
            'bag_path': write_drive(room / 'd.mcap', 3, breaks={1: {'step': 481}})
        },
        'bytes of data',
    ),
    'no calibration': (
        lambda room, drive: {'bag_path': write_drive(room / 'd.mcap', 3, without=('/tf_static',))},
        'camera_from.',
    ),
    'clocks apart': (
        lambda room, drive: {'bag_path': delayed(room / 'late.mcap', drive, hours=1)},
        'all were rejected (too_old',
    ),
    'foreign classes': (
        lambda room, drive: {'bag_path': write_drive(room / 'd.mcap', 3, num_classes=200)},
        'class ids below 11',
    ),
}
CAMERA_TOPICS = ('/camera/image', '/camera/camera_info')


@pytest.mark.parametrize('case', BAD_INPUTS)
def test_bad_input_leaves_nothing_behind(drive, bundle, tmp_path, case):
    make, words = BAD_INPUTS[case]
    arguments = {'bag_path': drive, 'bundle_path': bundle, **make(tmp_path, drive)}
    results = tmp_path / 'results'
    results.mkdir()
    with pytest.raises(InputError) as error:
        replay(Settings(**arguments), results / 'out')
    assert words in str(error.value)
    assert '\n' not in str(error.value)
    assert list(results.iterdir()) == []
