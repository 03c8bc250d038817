"""Plays a recording to the node, and records what comes back."""

from pathlib import Path
import time

from mle_sam_ros.bags.node_report import DIAGNOSTICS_TOPIC, NodeReport
from mle_sam_ros.bags.typestore import typestore
from mle_sam_ros.ros.node_client import NODE_NAME
from mle_sam_ros.ros.player import play, Timeline
from mle_sam_ros.ros.recorder import NODE_TOPICS, Recorder
from mle_sam_ros.ros.rosbag2_player import play_with_rosbag2
from mle_sam_ros.ros.wiring import Wiring

_MASK_TOPIC = f'{NODE_NAME}/mask'
# How long nothing new may come before the last masks are given up.
_SILENCE_S = 10.0


def play_and_record(
    bag_path: Path,
    wiring: Wiring,
    recording_path: Path,
    rate: float = 1.0,
    with_rosbag2: bool = False,
) -> None:
    """Play a drive to an active node; return when its last mask has come back.

    Log times of what comes back are times of the drive: with our player to the microsecond, with
    rosbag2 to the ticks of its `/clock`.

    Args:
        bag_path: the drive.
        wiring: what to play, and under which names; rosbag2 cannot make clouds of event packets.
        recording_path: the `.mcap` file to write.
        rate: 0.5 plays half as fast.
        with_rosbag2: play with `ros2 bag play`.

    Raises:
        InputError: for a node that does not publish or listen, and a player that fails.
    """
    path, remap = str(recording_path), wiring.remap
    if with_rosbag2:
        with Recorder(path, NODE_TOPICS, use_sim_time=True) as recorder:
            recorder.wait_for_publishers()
            play_with_rosbag2(str(bag_path), topics=list(remap), remap=remap, rate=rate)
            _wait_for_last_mask(recorder)
        return
    timeline = Timeline(rate)
    with Recorder(path, NODE_TOPICS, now_ns=timeline.now_ns) as recorder:
        recorder.wait_for_publishers()
        play(
            str(bag_path),
            timeline=timeline,
            topics=list(remap),
            remap=remap,
            event_clouds=wiring.event_clouds,
            # Of a node without time the first messages would be of the far future.
            wait_for=[*remap.values(), '/clock'],
        )
        _wait_for_last_mask(recorder)


def _wait_for_last_mask(recorder: Recorder) -> None:
    """Until a report that came after the last message says that every mask is here."""
    deadline_s = time.monotonic() + _SILENCE_S
    first = counts = dict(recorder.counts)
    while time.monotonic() < deadline_s:
        time.sleep(0.1)
        # Two reports: the first may have been on its way when the last message was sent.
        if recorder.counts[DIAGNOSTICS_TOPIC] >= first[DIAGNOSTICS_TOPIC] + 2:
            report = _report(recorder)
            if report is not None and report.num_masks == recorder.counts[_MASK_TOPIC]:
                return
        if recorder.counts[_MASK_TOPIC] != counts[_MASK_TOPIC]:
            counts = dict(recorder.counts)
            deadline_s = time.monotonic() + _SILENCE_S


def _report(recorder: Recorder) -> NodeReport | None:
    cdr = recorder.latest[DIAGNOSTICS_TOPIC]
    message = typestore().deserialize_cdr(cdr, NODE_TOPICS[DIAGNOSTICS_TOPIC])
    report = NodeReport.from_message(message)
    return report if report is not None and report.is_active else None
