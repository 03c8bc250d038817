"""`mle-sam replay`: a recorded drive in; masks, their score and a report out."""

from pathlib import Path
from typing import Any

from mle_sam_ros.replay.annotated import Annotated
from mle_sam_ros.replay.latency import LATENCY_NAME
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import METRICS_NAME, OVERLAY_NAME, REPORT_NAME, Results, VIDEO_NAME
from mle_sam_ros.replay.session import open_session, Settings

ANNOTATED_NAME = 'annotated.mcap'
# Of all files that a replay may write.
RESULT_NAMES = frozenset(
    {METRICS_NAME, LATENCY_NAME, REPORT_NAME, OVERLAY_NAME, VIDEO_NAME, ANNOTATED_NAME}
)


def replay(settings: Settings, out: Path) -> dict[str, Any]:
    """Run a recorded drive through the node's pipeline, and score the masks.

    The recording's log times stand for the times of arrival, and the vehicle is taken to be fast
    enough for every frame. The same settings give the same masks and the same metrics; how long
    it took stands apart, in `latency.json`.

    Args:
        settings: what to run.
        out: directory to make, with `annotated.mcap`, `metrics.json`, `latency.json`, `report.html`
            and `overlay.png`. It appears when everything is done, and replaces earlier results.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for anything that cannot be read, run, or written.
    """
    with (
        output_directory(out, RESULT_NAMES) as draft,
        open_session(settings) as session,
        Annotated(
            draft / ANNOTATED_NAME, session.bundle.manifest, session.custom_data
        ) as annotated,
        Results(
            draft, session.bundle.manifest, settings.with_video, session.conditions
        ) as results,
    ):
        for now_ns, prediction in session.drive.predictions():
            truth = session.truth_of(prediction)
            view = session.view(now_ns, prediction, truth)
            results.add(view.frame)
            session.score_subsets(prediction, truth, results)
            annotated.add(view, results.evaluation.moments[-1].miou)
        frames = session.drive.pipeline.account.to_mapping()
        metrics = session.metrics(results, frames)
        annotated.note_run(metrics)
        results.write(f'Replay of {settings.bag_path.name}', metrics)
    return metrics
