"""`mle-sam live-replay`: a recorded drive through the real node over ROS 2, scored as a replay."""

from dataclasses import dataclass, fields, replace
import os
from pathlib import Path
import sys
from typing import Any, TYPE_CHECKING

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.bags.describe import aligned_streams, find_topics, Topics
from mle_sam_ros.bags.drive import check_drop
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import METRICS_NAME, OVERLAY_NAME, REPORT_NAME, VIDEO_NAME
from mle_sam_ros.replay.score.latency import LATENCY_NAME
from mle_sam_ros.replay.score_recording import score_recording
from mle_sam_ros.replay.session import Settings
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from mle_sam_ros.runtime.bundle import Bundle

if TYPE_CHECKING:
    from mle_sam_ros.ros.wiring import Wiring

RECORDING_NAME = 'node.mcap'
CALIBRATION_NAME = 'calibration.yaml'
LOG_NAME = 'node.log'
_SCORE_NAMES = frozenset({METRICS_NAME, LATENCY_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME})
LIVE_NAMES = _SCORE_NAMES | {RECORDING_NAME, CALIBRATION_NAME, LOG_NAME}


@dataclass(frozen=True)
class Live:
    """How a drive is played to the node.

    Attributes:
        rate: 0.5 plays half as fast, for a machine that is slower than the vehicle's.
        player: rosbag2, which is `ros2 bag play`; mle_sam, our own; or auto, the former where it
            is installed and can play the recording.
        is_running: whether the node runs already, on this process's ROS domain. Otherwise one is
            started, on a domain of its own that nothing outside this machine hears.
    """

    rate: float = 1.0
    player: str = 'auto'
    is_running: bool = False


def live_replay(settings: Settings, live: Live, out: Path) -> dict[str, Any]:
    """Play a drive to the node over DDS, and score what it published.

    Args:
        settings: the drive, the model, and what to score, as for a replay.
        live: how to play it.
        out: directory to make: what the node published, metrics, report, pictures.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for a recording or bundle that cannot be used, and where node or player fail.
    """
    with output_directory(out, LIVE_NAMES) as draft:
        return live_replay_into(settings, live, draft)


def live_replay_into(settings: Settings, live: Live, directory: Path) -> dict[str, Any]:
    """As `live_replay`, but writes to a directory that is there."""
    _record(settings, live, directory)
    say('scoring the masks, and replaying the drive for comparison')
    return score_recording(_as_node(settings), directory / RECORDING_NAME, directory)


def score(settings: Settings, recording_path: Path, out: Path) -> dict[str, Any]:
    """Score what a node published of a drive earlier.

    Args:
        settings: the drive, the model, and what to score, as for a replay.
        recording_path: what the node published, as `mle-sam record` writes it.
        out: directory to make: metrics, report, pictures.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: as `score_recording`, and for an output directory that holds something else.
    """
    with output_directory(out, _SCORE_NAMES) as draft:
        return score_recording(_as_node(settings), recording_path, draft)


def _record(settings: Settings, live: Live, directory: Path) -> None:
    """Play the drive to the node and record its answers."""
    # What is soon refused comes first: a drive takes its time.
    _refuse_faults(settings)
    if not live.rate > 0:
        raise InputError(f'rate: expected a positive number, got {live.rate}; correct it')
    manifest = Bundle.open(settings.bundle_path).manifest
    check_drop(settings.drop, manifest)
    if not live.is_running:
        os.environ.update(private_environment(free_domain_id()))
    # Only now: the middleware reads the environment when it is loaded.
    from mle_sam_ros.ros.live_drive import play_and_record
    from mle_sam_ros.ros.process import NodeProcess, REMAPPINGS, whole_delivery
    from mle_sam_ros.ros.running_node import RunningNode

    wiring, calibration = _wire(settings, manifest)
    with_rosbag2 = _with_rosbag2(settings.bag_path, live.player, wiring)
    write_calibration(directory / CALIBRATION_NAME, calibration)
    parameters = {
        **wiring.parameter_values,
        'bundle': str(settings.bundle_path.absolute()),
        'calibration_file': str((directory / CALIBRATION_NAME).absolute()),
        'use_sim_time': True,
    }
    node: NodeProcess | RunningNode = RunningNode(parameters)
    if not live.is_running:
        say(f'starting the node on ROS domain {os.environ["ROS_DOMAIN_ID"]}')
        parameters |= whole_delivery(wiring.remap.values())
        node = NodeProcess(parameters, REMAPPINGS, os.environ, directory / LOG_NAME)
    with node:
        node.wait_until_active()
        program = 'ros2 bag play' if with_rosbag2 else 'mle-sam play'
        say(f'playing {settings.bag_path.name} to the node with {program}')
        path = directory / RECORDING_NAME
        try:
            play_and_record(settings.bag_path, wiring, path, live.rate, with_rosbag2)
        except InputError:
            node.finish()  # where the node is the cause, it says so
            raise
        node.finish()


def _wire(settings: Settings, manifest: Manifest) -> tuple['Wiring', Calibration]:
    """What to play, how to set the node for it, and the calibration file that it needs."""
    from mle_sam_ros.ros.parameters import NodeParameters
    from mle_sam_ros.ros.wiring import wire

    asked = NodeParameters(
        **{item.name: getattr(settings.rig, item.name) for item in fields(settings.rig)},
        backend=settings.backend,
        threads=settings.threads or 0,
        reuse_features=settings.reuse_features,
    )
    with open_bag(settings.bag_path) as reader:
        topics = find_topics(reader, settings.topics, aligned_streams(manifest))
        given = settings.calibration or Calibration()
        whole = _completed(given, calibration_of(reader, topics, asked.camera_rectified))
        # As in a replay: what is not placed for good may be moving.
        is_moving = topics.tf is not None and _is_any_unplaced(whole, topics, manifest)
        asked = replace(asked, moving_extrinsics=is_moving)
        wiring = wire(reader, topics, manifest, asked, settings.drop)
    # Where tf2_msgs is not installed, the node cannot hear where the sensors stand.
    return wiring, given if topics.tf_static in wiring.remap else whole


def _with_rosbag2(bag_path: Path, player: str, wiring: 'Wiring') -> bool:
    """Whether `ros2 bag play` is to play: it reads no bags of ROS 1, and makes no clouds."""
    from mle_sam_ros.ros.rosbag2_player import has_rosbag2

    if player == 'auto':
        return has_rosbag2() and bag_path.suffix != '.bag' and not wiring.event_clouds
    if player == 'rosbag2' and not has_rosbag2():
        raise InputError(
            'player: expected ros2 bag to be installed (package ros2bag), got none; source your '
            'ROS setup, or use --player mle_sam'
        )
    if player == 'rosbag2' and wiring.event_clouds:
        raise InputError(
            f'{bag_path}: expected event_camera_msgs to be installed for '
            f'{", ".join(wiring.event_clouds)}, got none; install it, or use --player mle_sam, '
            'which plays the events as PointCloud2'
        )
    return player == 'rosbag2'


def _as_node(settings: Settings) -> Settings:
    """The node counts what it cannot use, and goes on."""
    _refuse_faults(settings)
    return replace(settings, keep_going=True)


def _refuse_faults(settings: Settings) -> None:
    if settings.faults:
        raise InputError(
            'live replay: expected no --fault, got some; the node is given the drive as it was '
            'recorded: inject faults in mle-sam replay'
        )


def _completed(given: Calibration, recorded: Calibration) -> Calibration:
    return Calibration(
        {**recorded.cameras, **given.cameras}, {**recorded.camera_from, **given.camera_from}
    )


def _is_any_unplaced(calibration: Calibration, topics: Topics, manifest: Manifest) -> bool:
    recorded = {'event': topics.event, 'lidar': topics.lidar}
    sensors = {name for name, topic in recorded.items() if topic} & {*manifest.modality_names}
    return bool(sensors - {*calibration.camera_from})


def say(text: str) -> None:
    """Tell what goes on, beside the results on standard output."""
    print(text, file=sys.stderr, flush=True)
