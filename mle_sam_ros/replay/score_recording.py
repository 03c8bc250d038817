"""`mle-sam score`: what a node published of a drive, scored and held against the replay."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mle_sam_ros.core.trust import trust_statuses
from mle_sam_ros.replay.agreement import Agreement
from mle_sam_ros.replay.frame import Frame, frame_of
from mle_sam_ros.replay.recording import RecordedMask, Recording
from mle_sam_ros.replay.results import Results
from mle_sam_ros.replay.session import open_session, Settings


def score_recording(
    settings: Settings, recording_path: Path, frames: Mapping[str, Any], directory: Path
) -> dict[str, Any]:
    """Score what a node published, and compare it with the replay of the same drive.

    The latency of a mask runs from the camera's stamp to its arrival at the recorder. Subsets of
    the sensors are scored with the replay's engine, over the frames that the node processed.

    Args:
        settings: the drive that the node was given, and the bundle that it ran.
        recording_path: what it published: mask, confidence, router weights.
        frames: its frame account, as `FrameAccount.to_mapping()`.
        directory: existing one, to write `metrics.json`, `report.html` and pictures to.

    Returns:
        The content of `metrics.json`, which here has `agreement`, too.

    Raises:
        InputError: for anything that cannot be read or run.
    """
    agreement = Agreement()
    with (
        Recording(recording_path) as recording,
        open_session(settings) as session,
        Results(directory, session.bundle.manifest, settings.with_video) as results,
    ):
        for _, prediction in session.drive.predictions():
            recorded = recording.at(prediction.stamp_ns)
            if recorded is None:
                continue
            statuses = trust_statuses(prediction, session.bundle.manifest.modality_names)
            agreement.add(
                recorded.label_map,
                prediction.label_map,
                recorded.statuses.get('sensors', {}),
                statuses['sensors'],
            )
            truth = session.truth_of(prediction)
            results.add(_recorded_frame(recorded, frame_of(prediction, truth)))
            session.score_subsets(prediction, truth, results)
        compared = {**agreement.to_mapping(), 'masks_unknown_to_replay': recording.count_unused()}
        metrics = {'agreement': compared, **session.metrics(results, frames)}
        results.write(f'The node on {settings.bag_path.name}', metrics)
    return metrics


def _recorded_frame(recorded: RecordedMask, frame: Frame) -> Frame:
    """The frame with the mask that the node published in the place of the replay's."""
    return replace(
        frame,
        label_map=recorded.label_map,
        confidence=recorded.confidence,
        present=recorded.present,
        router_weights=recorded.router_weights,
        latency_ms=(recorded.log_time_ns - frame.stamp_ns) / 1e6,
        timings_ms=recorded.timings_ms,
        ages_ms=recorded.ages_ms,
    )
