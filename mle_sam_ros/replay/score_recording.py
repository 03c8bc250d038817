"""`mle-sam score`: what a node published of a drive, scored and held against the replay."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.node_report import last_report, NodeReport
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.trust import trust_statuses
from mle_sam_ros.replay.agreement import Agreement
from mle_sam_ros.replay.frame import Frame, frame_of
from mle_sam_ros.replay.recording import RecordedMask, Recording
from mle_sam_ros.replay.results import Results
from mle_sam_ros.replay.session import open_session, Session, Settings


def score_recording(settings: Settings, recording_path: Path, directory: Path) -> dict[str, Any]:
    """Score what a node published, and compare it with the replay of the same drive.

    The latency of a mask runs from the camera's stamp to its arrival at the recorder. Subsets of
    the sensors are scored with the replay's engine, over the frames that the node processed.

    Args:
        settings: the drive that the node was given, and the bundle that it ran.
        recording_path: what it published: mask, confidence, router weights, diagnostics.
        directory: existing one, to write `metrics.json`, `report.html` and pictures to.

    Returns:
        The content of `metrics.json`, which here has `agreement` and `delivery`, too.

    Raises:
        InputError: for anything that cannot be read or run, and a recording of another bundle.
    """
    agreement, report = Agreement(), last_report(recording_path)
    with (
        Recording(recording_path) as recording,
        open_session(settings) as session,
        Results(
            directory, session.bundle.manifest, settings.with_video, session.conditions
        ) as results,
    ):
        _check_bundle(session, report, recording_path)
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
            frame = _recorded_frame(recorded, frame_of(prediction, truth))
            results.add(frame, session.subset_masks(prediction, truth))
        compared = {**agreement.to_mapping(), 'masks_unknown_to_replay': recording.count_unused()}
        metrics = {
            'agreement': compared,
            'delivery': _delivery(session, report, recording),
            **session.metrics(results, report.frames),
        }
        results.write(f'The node on {settings.bag_path.name}', metrics)
    return metrics


def node_summary(metrics: Mapping[str, Any]) -> str:
    """What to tell of a node beside `summary`: what reached it, and whether the replay agrees."""
    agreement = metrics['agreement']
    parts = [
        f'{counts["received"]} of {counts["sent"]} {name}'
        for name, counts in metrics['delivery'].items()
    ]
    compared, same = agreement['frames_compared'], agreement['frames_with_same_inputs']
    identical = round((agreement['identical_with_same_inputs'] or 0) * same)
    return (
        f'delivery  {", ".join(parts)}\n'
        f'replay    paired the same samples for {same} of {compared} masks; '
        f'{identical} of these {same} are the same in every pixel'
    )


def _check_bundle(session: Session, report: NodeReport, recording_path: Path) -> None:
    if report.bundle_sha256 != session.bundle.identity:
        raise InputError(
            f'{recording_path}: expected a node that ran {session.settings.bundle_path} (sha256 '
            f'{session.bundle.identity[:12]}), got one that ran another bundle '
            f'({report.bundle_sha256[:12]}); give the bundle of the node'
        )


def _delivery(
    session: Session, report: NodeReport, recording: Recording
) -> dict[str, dict[str, int]]:
    """What was sent and what was received: messages by stream, to the node; masks, from it."""
    topics = {
        stream: topic
        for stream in report.received
        if (topic := _topic_of(stream, session.topics)) and stream not in session.settings.drop
    }
    with open_bag(session.settings.bag_path) as reader:
        sent = Counter(item.topic for item in reader.raw(list(topics.values())))
    return {
        **{
            stream: {'sent': sent[topic], 'received': report.received[stream]}
            for stream, topic in topics.items()
        },
        'masks': {'sent': report.num_masks, 'received': recording.count()},
    }


def _topic_of(stream: str, topics: Topics) -> str | None:
    return getattr(topics, stream, None) or topics.others.get(stream)


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
