"""`mle-sam demo`: a simulated drive through the real node over ROS 2, scored, with pictures."""

from pathlib import Path
from typing import Any

from mle_sam_ros.live import Live, LIVE_NAMES, live_replay_into, say
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import OVERLAY_NAME, VIDEO_NAME
from mle_sam_ros.replay.score_recording import node_summary
from mle_sam_ros.replay.session import Settings
from mle_sam_ros.replay.summary import summary
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.simulation.scenario import Episode, Scenario
from mle_sam_ros.simulation.synthesize import synthesize

DRIVE_NAME = 'drive.mcap'
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
    with output_directory(out, LIVE_NAMES | {DRIVE_NAME}) as draft:
        say(f'simulating {scenario.seconds:g} s at {scenario.condition}')
        drive = draft / DRIVE_NAME
        synthesize(drive, scenario, events_as='point_cloud2')
        settings = Settings(drive, bundle_path, all_subsets=True, with_video=True)
        metrics = live_replay_into(settings, Live(player='mle_sam'), draft)
    print(f'\n{summary(metrics, out)}\n{out / OVERLAY_NAME}\n{out / VIDEO_NAME}\n')
    print(node_summary(metrics))
    return metrics
