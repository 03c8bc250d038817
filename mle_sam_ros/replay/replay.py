"""`mle-sam replay`: a recorded drive in; masks, their score and a report out."""

from pathlib import Path
from typing import Any

from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.replay.annotated import write_prediction
from mle_sam_ros.replay.frame import frame_of
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import METRICS_NAME, OVERLAY_NAME, REPORT_NAME, Results, VIDEO_NAME
from mle_sam_ros.replay.session import open_session, Settings

ANNOTATED_NAME = 'annotated.mcap'
_NAMES = frozenset({METRICS_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME, ANNOTATED_NAME})


def replay(settings: Settings, out: Path) -> dict[str, Any]:
    """Run a recorded drive through the node's pipeline, and score the masks.

    The recording's log times stand for the times of arrival, and the vehicle is taken to be fast
    enough for every frame. The same settings give the same masks and the same metrics, but for
    `latency_ms`.

    Args:
        settings: what to run.
        out: directory to make, with `annotated.mcap`, `metrics.json`, `report.html` and
            `overlay.png`. It appears when everything is done, and replaces earlier results.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for anything that cannot be read, run, or written.
    """
    with (
        output_directory(out, _NAMES) as draft,
        open_session(settings) as session,
        BagWriter(draft / ANNOTATED_NAME) as annotated,
        Results(draft, session.bundle.manifest, settings.with_video) as results,
    ):
        for now_ns, prediction in session.drive.predictions():
            truth = session.truth_of(prediction)
            results.add(frame_of(prediction, truth))
            session.score_subsets(prediction, truth, results)
            camera = session.drive.pipeline.projection.camera
            write_prediction(annotated, prediction, session.bundle.manifest, camera, now_ns)
        frames = session.drive.pipeline.account.to_mapping()
        metrics = session.metrics(results, frames)
        results.write(f'Replay of {settings.bag_path.name}', metrics)
    return metrics
