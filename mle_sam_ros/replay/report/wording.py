"""A scene in the words and numbers of the report."""

import base64
from collections.abc import Mapping, Sequence
import math
from typing import Any

from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.plain_name import plain_name
from mle_sam_ros.replay.report.causes import causes_in, covered, Finding, MIN_DROP, noted_text
from mle_sam_ros.replay.report.episodes import Episode
from mle_sam_ros.replay.report.scene import CAMERA, CONFIDENCE, ERROR, MASK, Scene, TRUTH
import numpy as np

_NUM_LOSSES = 4


def scene_view(
    scene: Scene,
    manifest: Manifest,
    findings: Sequence[Finding],
    index: int,
    times_s: np.ndarray,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """What the template shows of a scene.

    Args:
        scene: to show.
        manifest: of the bundle.
        findings: of the drive.
        index: of the scene's frame in the drive.
        times_s: (T,) of the drive's frames.
        metrics: content of `metrics.json`.
    """
    time_s = float(times_s[index])
    is_scored = TRUTH in scene.pictures
    large = (CAMERA, MASK, TRUTH, ERROR) if is_scored else (CAMERA, MASK)
    small = () if is_scored else (CONFIDENCE,)
    others = [name for name in manifest.modality_names if name != CAMERA]
    causes = causes_in(findings, index)
    conditions = {noted_text(item) for item in metrics['timeline'] if item['kind'] == 'condition'}
    entries = [entry for entry in metrics['timeline'] if covered(entry, times_s)[index]]
    harmless = [
        item.in_frame(index)
        for item in findings
        if item.holds[index] and not item.is_cause and not item.holds.all()
    ]
    throughout = [
        item.text for item in findings if item.holds.all() and item.text not in conditions
    ]
    return {
        'time_s': time_s,
        'score': scene.confidence if math.isnan(scene.miou) else scene.miou,
        'score_name': score_name(not math.isnan(scene.miou)),
        'aspect': f'{scene.size_hw[1]}/{scene.size_hw[0]}',
        'confidence': scene.confidence,
        'latency_ms': scene.latency_ms,
        'large': [_picture(scene, name) for name in large],
        'small': [_picture(scene, name) for name in (*small, *others)],
        'sensors': [
            {
                'name': name,
                'is_present': name in scene.present,
                'why': _why_absent(scene, name, metrics, entries),
                'age_ms': scene.ages_ms.get(name),
                'weight': float(scene.router_weights[:, column].mean()),
            }
            for column, name in enumerate(manifest.modality_names)
        ],
        'noted': [noted_text(entry) for entry in entries if noted_text(entry)],
        'losses': [loss for loss in scene.losses if loss.iou < 0.995][:_NUM_LOSSES],
        'mistake': _mistake(scene),
        'classes': scene.classes,
        'causes': [
            {
                'text': cause.in_frame(index),
                'when': when(times_s, *cause.around(index)),
                'finding': cause,
            }
            for cause in causes
        ],
        'harmless': harmless,
        'throughout': throughout,
    }


def score_name(is_scored: bool) -> str:
    """What frames are compared by."""
    return 'frame mIoU' if is_scored else 'confidence'


def episode_view(
    episode: Episode, shown: Sequence[dict[str, Any]], scores: np.ndarray, times_s: np.ndarray
) -> dict[str, Any]:
    """What the template shows of an episode: its worst frame, and around it the others.

    Args:
        episode: to show.
        shown: views of its scenes, the worst first.
        scores: (T,) of the drive's frames.
        times_s: (T,) likewise.
    """
    first, last = episode.first, episode.last
    return {
        **shown[0],
        'episode': {
            'when': when(times_s, first, last),
            'from_s': float(times_s[first]),
            'to_s': float(times_s[min(last + 1, len(times_s) - 1)]),
            'num_frames': last - first + 1,
            'mean': float(np.nanmean(scores[first : last + 1])),
            'is_usual': bool(shown[0]['score'] > np.nanmean(scores) - MIN_DROP),
            'others': shown[1:],
        },
    }


def when(times_s: np.ndarray, first: int, last: int) -> str:
    """Of a stretch of frames: until the frame after the last, if there is one."""
    to_s = times_s[min(last + 1, len(times_s) - 1)]
    return f'from {times_s[first]:.2f} to {to_s:.2f} s'


def _mistake(scene: Scene) -> str:
    """What most of its wrong pixels are; empty where none is, or without ground truth."""
    worst = max(scene.losses, key=lambda loss: loss.taken_share, default=None)
    if worst is None or worst.taken_for is None:
        return ''
    names = f'{plain_name(worst.name)} taken for {plain_name(worst.taken_for)}'
    return f'{names} ({100 * worst.taken_share:.2g} % of the image)'


def _why_absent(
    scene: Scene, name: str, metrics: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]
) -> str:
    if name in metrics['arguments'].get('drop', ()):
        return 'left out by --drop'
    times = next(
        (
            f'from {entry["from_s"]:.2f} to {entry["to_s"]:.2f} s'
            for entry in entries
            if entry['kind'] == 'absent' and entry['name'] == name
        ),
        '',
    )
    return ': '.join(filter(None, (times, scene.faults.get(name))))


def _picture(scene: Scene, name: str) -> tuple[str, str | None]:
    """Its name, and its address; None where there is nothing to show."""
    jpeg = scene.pictures.get(name)
    if jpeg is None:
        return name, None
    return name, 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode()
