"""Reports of made-up drives."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mle_sam_ros.core.account import FrameAccount
from mle_sam_ros.replay.frame import Frame
from mle_sam_ros.replay.report.album import Album
from mle_sam_ros.replay.report.report import write_report
from mle_sam_ros.replay.score.conditions import Conditions, Span
from mle_sam_ros.replay.score.evaluation import Evaluation
from mle_sam_ros.replay.score.scores import scores
from mle_sam_ros.replay.score.tallies import SCHEMA
from sample_frames import MANIFEST, sample_frames

FAULT = 'lidar: expected a <rigid> transform, got "bent"; mend it'


def troubled_frames(count: int) -> Iterable[Frame]:
    """Sample frames whose masks are worse without the camera, and hopeless at two instants."""
    for index, frame in enumerate(sample_frames(count)):
        label_map = frame.label_map.copy()
        if 'camera' not in frame.present:
            label_map[:, :40] = 3
        if index == count * 5 // 8:
            label_map[:] = 4
        if index == count * 7 // 8:
            label_map[10:] = 4
        yield replace(frame, label_map=label_map, ages_ms=dict.fromkeys(frame.present, 7.0))


def write_sample_report(
    path: Path, frames: Iterable[Frame], faults_given: Sequence[str] = (), **more: Any
) -> dict[str, Any]:
    """Write `report.html`, and return what `metrics.json` would say, with `more` in it."""
    spans = (Span('condition', 'night'), Span('failure', 'over_exposure', 0.5, 0.9))
    evaluation, album = Evaluation(MANIFEST, Conditions(spans)), Album(MANIFEST)
    for frame in frames:
        album.add(frame, evaluation.add(frame).miou)
    count = len(evaluation.moments)
    account = FrameAccount(received=count + 3, emitted=count, superseded=3).to_mapping()
    bag = {'name': 'drive & co.mcap', 'sha256': 'b' * 64, 'conditions': ['night']}
    metrics = {
        'schema': SCHEMA,
        'bags': [{**bag, 'start_ns': 0, 'seconds': evaluation.seconds}],
        'bundle': {'name': 'tiny', 'revision': 'abc', 'sha256': 'a' * 64},
        'software': {'mle_sam_ros': '0.1.0', 'engine': 'onnx'},
        'arguments': {
            'drop': [],
            'all_subsets': False,
            'faults': list(faults_given),
            'rig': {'motion': 'none'},
        },
        'timeline': evaluation.timeline(),
        **scores(evaluation.tallies('b' * 64, account, {FAULT: 3}, 3)),
        **more,
    }
    latency = evaluation.latency.to_mapping()
    moments = evaluation.moments
    write_report(path, 'Replay of drive & co', metrics, latency, MANIFEST, moments, album)
    return metrics
