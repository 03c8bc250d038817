"""What a node published is scored as it stands, and held against the replay."""

import json
from pathlib import Path

from bundles import write_tiny_bundle
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.agreement import compare_masks
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.replay.score_recording import node_summary, score_recording
from mle_sam_ros.replay.viewing.annotated import CONFIDENCE_TOPIC, MASK_TOPIC, ROUTER_WEIGHTS_TOPIC
from mle_sam_ros.runtime.bundle import Bundle
import numpy as np
import pytest
from tiny_drive import MS, write_drive

FRAMES = {
    'received': 12, 'emitted': 9, 'superseded': 2, 'rejected': {'too_old': 1}, 'waiting': 0,
    'without_camera': 0, 'clock_jumps': 0,
}  # fmt: skip


@pytest.fixture(scope='module')
def settings(tmp_path_factory) -> Settings:
    room = tmp_path_factory.mktemp('recording')
    bundle = write_tiny_bundle(room / 'tiny').directory
    return Settings(write_drive(room / 'drive.mcap', 12), bundle, threads=1)


@pytest.fixture(scope='module')
def identity(settings) -> str:
    return Bundle.open(settings.bundle_path).identity


@pytest.fixture(scope='module')
def annotated(settings, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('replay') / 'out'
    replay(settings, out)
    return out / 'annotated.mcap'


def published(
    annotated: Path, path: Path, identity='', lost=(), changed=(), other_inputs=()
) -> Path:
    """A node's recording: the replay's, but for some frames, counted from 0."""
    topics = [MASK_TOPIC, CONFIDENCE_TOPIC, ROUTER_WEIGHTS_TOPIC]
    seen = dict.fromkeys(topics, -1)
    with open_bag(annotated) as reader, BagWriter(path) as bag:
        for log_time_ns, topic, _, message in reader.messages(topics):
            seen[topic] += 1
            if seen[topic] in lost:
                continue
            if topic == MASK_TOPIC and seen[topic] in changed:
                half = message.data.size // 2
                message.data = np.append((message.data[:half] + 1) % 11, message.data[half:])
            if topic == ROUTER_WEIGHTS_TOPIC and seen[topic] in other_inputs:
                sensors = next(status for status in message.status if status.name == 'sensors')
                age = next(item for item in sensors.values if item.key == 'event/age_ms')
                age.value = '123.000'
            bag.write(topic, message, log_time_ns + 40 * MS)
        bag.write('/diagnostics', diagnostics(identity, seen[MASK_TOPIC] + 1), log_time_ns)
    return path


def diagnostics(identity: str, num_frames: int):
    """The node's last report: every camera frame arrived, three became no mask."""
    frames = {**FRAMES, 'received': num_frames, 'rejected': 1, 'rejected/too_old': 1}
    statuses = {
        'engine': {'bundle_sha256': identity, 'state': 'active'},
        'frames': frames,
        'input camera': {'received': num_frames, 'served': 9},
        'input camera_info': {'received': 1},
        'input lidar': {'received': 2, 'served': 9},
        'input event': {'received': 60, 'served': 9},
    }
    named = {
        f'/mle_sam/perception: {name}': {key: str(value) for key, value in values.items()}
        for name, values in statuses.items()
    }
    return messages.diagnostics(named, 1, '')


def test_a_faithful_node_agrees(settings, annotated, identity, tmp_path):
    recording = published(annotated, tmp_path / 'node.mcap', identity, lost={2, 5, 6})
    metrics = score_recording(settings, recording, tmp_path)
    assert metrics['agreement'] == {
        'frames_compared': 9,
        'identical': 1.0,
        'pixels_equal': 1.0,
        'frames_with_same_inputs': 9,
        'identical_with_same_inputs': 1.0,
        'masks_unknown_to_replay': 0,
    }
    assert metrics['delivery'] == {
        'camera': {'sent': 12, 'received': 12},
        'lidar': {'sent': 6, 'received': 2},
        'event': {'sent': 60, 'received': 60},
        'masks': {'sent': 9, 'received': 9},
    }
    told = node_summary(metrics)
    assert '12 of 12 camera, 2 of 6 lidar' in told
    assert 'same samples for 9 of 9 masks; 9 of these 9 are the same in every pixel' in told
    assert metrics['frames'] == FRAMES
    assert metrics['frames_scored'] == 9
    assert metrics['frames_without_mask'] == 3
    # 5 ms until the image arrives, the wait for others, 40 ms here; right to half a percent.
    latency = json.loads((tmp_path / 'latency.json').read_text())['total']
    assert 44.7 <= latency['p50'] <= 75
    assert {'metrics.json', 'report.html', 'overlay.png'} <= {p.name for p in tmp_path.iterdir()}


def test_differences_are_told_apart_by_their_cause(annotated, tmp_path):
    recording = published(
        annotated, tmp_path / 'node.mcap', lost={0}, changed={3, 4}, other_inputs={4, 5}
    )
    agreement = compare_masks(recording, annotated)
    assert agreement['frames_compared'] == 11
    assert agreement['identical'] == pytest.approx(9 / 11, abs=1e-6)
    assert agreement['frames_with_same_inputs'] == 9
    assert agreement['identical_with_same_inputs'] == pytest.approx(8 / 9, abs=1e-6)
    assert agreement['pixels_equal'] == pytest.approx(10 / 11, abs=1e-6)


def test_only_the_node_masks_count(settings, annotated, identity, tmp_path):
    same = published(annotated, tmp_path / 'same.mcap', identity)
    changed = published(annotated, tmp_path / 'changed.mcap', identity, changed=range(12))
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
    faithful = score_recording(settings, same, tmp_path / 'a')
    tampered = score_recording(settings, changed, tmp_path / 'b')
    assert faithful['pixel_accuracy'] != tampered['pixel_accuracy']


def test_the_recording_of_another_bundle_is_refused(settings, annotated, tmp_path):
    recording = published(annotated, tmp_path / 'node.mcap', identity='0123456789abcdef')
    with pytest.raises(InputError, match=r'got one that ran another bundle \(0123456789ab\)'):
        score_recording(settings, recording, tmp_path)


def test_a_recording_without_reports_is_refused(settings, annotated, tmp_path):
    with pytest.raises(InputError, match='expected reports of /mle_sam/perception on'):
        score_recording(settings, annotated, tmp_path)


def test_a_recording_without_masks_is_refused(settings):
    with pytest.raises(InputError, match='expected a topic /mle_sam/perception/mask'):
        compare_masks(settings.bag_path, settings.bag_path)
