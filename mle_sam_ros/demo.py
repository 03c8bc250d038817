"""`mle-sam demo`: a simulated drive through the real node over ROS 2, scored, with pictures."""

from collections.abc import Mapping
import os
from pathlib import Path
import sys
import time
from typing import Any

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.latency import LATENCY_NAME
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import METRICS_NAME, OVERLAY_NAME, REPORT_NAME, VIDEO_NAME
from mle_sam_ros.replay.score_recording import score_recording
from mle_sam_ros.replay.session import Settings
from mle_sam_ros.replay.summary import summary
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.simulation.scenario import Episode, Scenario
from mle_sam_ros.simulation.synthesize import synthesize

DRIVE_NAME = 'drive.mcap'
RECORDING_NAME = 'node.mcap'
CALIBRATION_NAME = 'calibration.yaml'
LOG_NAME = 'node.log'
_NAMES = frozenset(
    {
        DRIVE_NAME, RECORDING_NAME, CALIBRATION_NAME, LOG_NAME,
        METRICS_NAME, LATENCY_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME,
    }
)  # fmt: skip
_NODE = '/mle_sam/perception'
_RECORDED = {
    f'{_NODE}/mask': 'sensor_msgs/msg/Image',
    f'{_NODE}/confidence': 'sensor_msgs/msg/Image',
    f'{_NODE}/router_weights': 'diagnostic_msgs/msg/DiagnosticArray',
    '/diagnostics': 'diagnostic_msgs/msg/DiagnosticArray',
}
# A drive on which each sensor fails in its turn; its seed was never trained on.
STORY = Scenario(
    seed=90_001,
    seconds=12.0,
    condition='dusk',
    failures=(Episode('over_exposure', 3.0, 5.0),),
    outages=(Episode('lidar', 6.5, 8.0), Episode('camera', 9.5, 10.5)),
)


def demo(out: Path, bundle_path: Path, scenario: Scenario = STORY) -> dict[str, Any]:
    """Simulate a drive, play it to the node over DDS, and score what the node published.

    Everything stays on this machine, on a ROS domain of its own.

    Args:
        out: directory to make: the drive, what the node made of it, metrics, report, pictures.
        bundle_path: the model.
        scenario: the drive.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for a bundle that cannot be run, a node that does not start, or an output
            directory that holds something else.
    """
    Bundle.open(bundle_path)  # before anything that takes long
    with output_directory(out, _NAMES) as draft:
        _say(f'1/4  simulating {scenario.seconds:g} s at {scenario.condition}')
        synthesize(draft / DRIVE_NAME, scenario, events_as='point_cloud2')
        with open_bag(draft / DRIVE_NAME) as bag:
            write_calibration(draft / CALIBRATION_NAME, calibration_of(bag, find_topics(bag)))
        _drive_node(draft, bundle_path)
        _say('4/4  scoring the masks, and replaying the drive for comparison')
        diagnostics = last_diagnostics(draft / RECORDING_NAME)
        metrics = score_recording(
            Settings(
                draft / DRIVE_NAME, bundle_path, all_subsets=True, with_video=True, keep_going=True
            ),
            draft / RECORDING_NAME,
            _frame_account(diagnostics),
            draft,
        )
    _summarise(out, metrics, diagnostics)
    return metrics


def _drive_node(draft: Path, bundle_path: Path) -> None:
    """Play the drive to the node and record its answers."""
    domain_id = free_domain_id()
    os.environ.update(private_environment(domain_id))
    # Only now: the middleware reads the environment when it is loaded.
    from mle_sam_ros.ros.player import play, Timeline
    from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS
    from mle_sam_ros.ros.recorder import Recorder

    parameters = {
        'bundle': bundle_path.absolute(),
        'calibration_file': draft / CALIBRATION_NAME,
        'event_message': 'point_cloud2',
        'use_sim_time': True,
    }
    _say(f'2/4  starting the node on ROS domain {domain_id}')
    with NodeProcess(parameters, REMAPPINGS, os.environ, draft / LOG_NAME) as node:
        node.wait_until_active()
        recording_path = str(draft / RECORDING_NAME)
        timeline = Timeline()
        with Recorder(recording_path, _RECORDED, now_ns=timeline.now_ns) as recorder:
            recorder.wait_for_publishers()
            _say('3/4  playing the drive to the node over DDS')
            drive_path = str(draft / DRIVE_NAME)
            topics = sensor_topics(draft / DRIVE_NAME)
            report = play(drive_path, timeline=timeline, topics=topics, wait_for=topics)
            time.sleep(2.5)  # for the frame at hand, and two more diagnostics
        exit_code = node.stop()
    if exit_code:
        log = (draft / LOG_NAME).read_text(errors='replace')
        raise RuntimeError(f'the node ended with exit code {exit_code}:\n{log[-2000:]}')
    _say(
        f'     {sum(report.published.values())} messages in {report.duration_s:.1f} s, at most '
        f'{1e3 * report.max_late_s:.0f} ms late; '
        f'{recorder.counts[_NODE + "/mask"]} masks came back'
    )


def sensor_topics(path: Path) -> list[str]:
    """What the node listens to of a recording, without a source of the vehicle's motion."""
    with open_bag(path) as bag:
        topics = find_topics(bag)
    streams = (topics.camera, topics.camera_info, topics.lidar)
    event_streams = (topics.event, topics.event_camera_info)
    return [topic for topic in (*streams, *event_streams) if topic is not None]


def last_diagnostics(path: Path) -> dict[str, dict[str, str]]:
    """The node's last report: status name to its message, keys and values."""
    report = {}
    with open_bag(path) as bag:
        for item in bag.messages(['/diagnostics']):
            for status in item.message.status:
                name = status.name.removeprefix(f'{_NODE}: ')
                values = {pair.key: pair.value for pair in status.values}
                report[name] = {'message': status.message, **values}
    return report


def _frame_account(diagnostics: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """The node's frame account, as `FrameAccount.to_mapping()` gives it."""
    if 'frames' not in diagnostics:
        raise InputError(
            f'{RECORDING_NAME}: expected the diagnostics of the node, got none; '
            'the machine is too busy, run the demo again'
        )
    values = diagnostics['frames']
    names = ('received', 'emitted', 'superseded', 'waiting', 'without_camera', 'clock_jumps')
    rejected = {
        key.removeprefix('rejected/'): int(value)
        for key, value in values.items()
        if key.startswith('rejected/')
    }
    return {**{name: int(values[name]) for name in names}, 'rejected': rejected}


def _summarise(
    out: Path, metrics: Mapping[str, Any], diagnostics: Mapping[str, Mapping[str, str]]
) -> None:
    agreement = metrics['agreement']
    same, compared = agreement['frames_with_same_inputs'], agreement['frames_compared']
    print(f'\n{summary(metrics, out)}\n{out / OVERLAY_NAME}\n{out / VIDEO_NAME}\n')
    print(f'node      {diagnostics["frames"]["message"]}; {diagnostics["latency"]["message"]}')
    print(f'replay    paired the same samples for {same} of {compared} masks')


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
