"""`mle-sam replay`: a recorded drive in; masks, their score and a report out."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.ahead import Ahead
from mle_sam_ros.replay.output_directory import output_directory
from mle_sam_ros.replay.results import METRICS_NAME, OVERLAY_NAME, REPORT_NAME, Results, VIDEO_NAME
from mle_sam_ros.replay.score.latency import LATENCY_NAME
from mle_sam_ros.replay.session import open_session, Settings
from mle_sam_ros.replay.view import View
from mle_sam_ros.replay.viewing.annotated import ANNOTATED_NAME
from mle_sam_ros.replay.viewing.rerun_file import require_rerun, RERUN_NAME
from mle_sam_ros.replay.viewing.viewers import Viewers

# Of all files that a replay may write.
RESULT_NAMES = frozenset(
    {
        METRICS_NAME,
        LATENCY_NAME,
        REPORT_NAME,
        OVERLAY_NAME,
        VIDEO_NAME,
        ANNOTATED_NAME,
        RERUN_NAME,
    }
)
# Frames that may wait between two stages, each with its image, rasters and masks.
_NUM_AHEAD = 4


def replay(settings: Settings, out: Path) -> dict[str, Any]:
    """Run a recorded drive through the node's pipeline, and score the masks.

    The recording's log times stand for the times of arrival, and the vehicle is taken to be fast
    enough for every frame. The same settings give the same masks and the same metrics; how long
    it took stands apart, in `latency.json`. Reading, decoding and projecting, then inferring, then
    scoring, then writing go on at the same time, each a few frames ahead of the next.

    Args:
        settings: what to run.
        out: directory to make, with `annotated.mcap`, `metrics.json`, `latency.json`,
            `report.html` and `overlay.png`. It appears when everything is done, and replaces
            earlier results.

    Returns:
        The content of `metrics.json`.

    Raises:
        InputError: for anything that cannot be read, run, or written.
    """
    if settings.with_rerun:
        require_rerun()  # before anything is run
    with (
        output_directory(out, RESULT_NAMES) as draft,
        open_session(settings) as session,
        Viewers(draft, session) as viewers,
        Results(
            draft, session.bundle.manifest, settings.with_video, session.conditions
        ) as results,
        # Each on its own thread: what makes masks, what scores them, and here what writes.
        Ahead(session.views(), _NUM_AHEAD) as views,
        Ahead(_scored(views, results), _NUM_AHEAD) as scored,
    ):
        for view, miou in scored:
            viewers.add(view, miou)
        frames = session.drive.pipeline.account.to_mapping()
        metrics = session.metrics(results, frames)
        viewers.note_run(metrics)
        results.write(f'Replay of {settings.bag_path.name}', metrics)
    return metrics


def _scored(views: Iterable[View], results: Results) -> Iterator[tuple[View, float]]:
    """Views with the mIoU of their frames, which is NaN without ground truth."""
    for view in views:
        yield view, results.add(view.frame, view.subset_masks)
