"""`report.html`: one file that shows the score of a drive, or of a fleet, without a network."""

import base64
from collections.abc import Mapping, Sequence
import hashlib
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.replay.aggregate import FleetRow
from mle_sam_ros.replay.plain_name import plain_name
from mle_sam_ros.replay.report.album import Album
from mle_sam_ros.replay.report.budget import budget_of
from mle_sam_ros.replay.report.causes import find_causes
from mle_sam_ros.replay.report.course import Course
from mle_sam_ros.replay.report.episodes import find_episodes
from mle_sam_ros.replay.report.glossary import STAGES, WORDS
from mle_sam_ros.replay.report.tiles import ERROR_SURE, ERROR_UNSURE, MODALITY_COLOURS, UNKNOWN
from mle_sam_ros.replay.report.wording import episode_view, scene_view, score_name
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np

_TEMPLATES = Path(__file__).parent / 'templates'
_NUM_EPISODES = 6
_SENSORS = ('camera', 'event', 'lidar')  # those that topics are found for without being asked
# Frames of an episode.
_NUM_SHOWN = 3


def write_report(
    path: Path,
    title: str,
    metrics: Mapping[str, Any],
    latency: Mapping[str, Any],
    manifest: Manifest,
    moments: Sequence[Moment] = (),
    album: Album | None = None,
    recordings: Sequence[FleetRow] = (),
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: heading of the page.
        metrics: content of `metrics.json`.
        latency: content of `latency.json`.
        manifest: of the bundle.
        moments: of the drive; none for a fleet.
        album: that was offered every frame; None for a fleet.
        recordings: of a fleet.
    """
    start_ns = _start_ns(metrics, moments)
    is_scored = metrics['miou'] is not None
    conditions, throughout = split_conditions(metrics)
    context: dict[str, Any] = {
        'title': title,
        'metrics': metrics,
        'latency': latency,
        'budget': budget_of(metrics, moments),
        'words_of': WORDS,
        'does': STAGES,
        'manifest': manifest,
        'modality_colours': [_hex(shade) for shade in MODALITY_COLOURS],
        'class_colours': {item.name: _hex(item.colour) for item in manifest.classes},
        'error_colours': [_hex(shade) for shade in (ERROR_UNSURE, ERROR_SURE, UNKNOWN)],
        'worst_class': lowest(metrics['iou']),
        'conditions': conditions,
        'throughout': throughout,
        'unused': unused_sensors(metrics),
        'worst_condition': lowest({name: item['miou'] for name, item in conditions.items()}),
        'recordings': recordings,
        'worst_recording': _worst_recording(recordings),
        'classes': _classes(metrics),
        'is_scored': is_scored,
        'score_name': score_name(is_scored),
        'usual': None,
        'findings': [],
        'worst': [],
        'even': [],
        'course': None,
    }
    if moments and album is not None:
        context |= _drive(metrics, manifest, moments, album, start_ns)
    script = (_TEMPLATES / 'report.js').read_text(encoding='utf-8')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = (
        _environment()
        .get_template('report.html')
        .render(**context, script=script, script_hash=f'sha256-{digest}')
    )
    path.write_text(page, encoding='utf-8')


def lowest(values: Mapping[str, float | None]) -> tuple[str, float] | None:
    """Name and value of the lowest that is known; None where none is."""
    known = [(value, name) for name, value in values.items() if value is not None]
    if not known:
        return None
    value, name = min(known)
    return name, value


def split_conditions(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Conditions of a part of the drive, and the names of those that all frames have."""
    count, conditions = metrics['tallies']['whole']['frames'], metrics['conditions']
    part = {name: item for name, item in conditions.items() if item['frames'] < count}
    return part, [name for name, item in conditions.items() if item['frames'] == count > 0]


def unused_sensors(metrics: Mapping[str, Any]) -> list[str]:
    """What the recording has and the model does not take."""
    topics = metrics['arguments'].get('topics', {})  # a fleet's differ
    return [name for name in _SENSORS if name in topics and name not in metrics['modalities']]


def _drive(
    metrics: Mapping[str, Any],
    manifest: Manifest,
    moments: Sequence[Moment],
    album: Album,
    start_ns: int,
) -> dict[str, Any]:
    """What only a single drive has: its course, its scenes, their causes."""
    timeline = metrics['timeline']
    miou = np.array([item.miou for item in moments])
    times_s = np.array([item.stamp_ns - start_ns for item in moments]) / 1e9
    scores = miou if metrics['miou'] is not None else album.signs.confidences
    signs = list(album.signs.found())
    findings = find_causes(moments, scores, signs, timeline, start_ns, manifest.modality_names)
    index_of = {item.stamp_ns: index for index, item in enumerate(moments)}

    def views(scenes: Sequence[Any]) -> list[dict[str, Any]]:
        return [
            scene_view(scene, manifest, findings, index_of[scene.stamp_ns], times_s, metrics)
            for scene in scenes
        ]

    scene_of = {index_of[scene.stamp_ns]: scene for scene in album.worst}
    episodes = find_episodes(list(scene_of), scores, times_s, findings)[:_NUM_EPISODES]
    return {
        'findings': [item for item in findings if not math.isnan(item.drop)],
        'worst': [
            episode_view(
                episode,
                views([scene_of[index] for index in episode.frames[:_NUM_SHOWN]]),
                scores,
                times_s,
            )
            for episode in episodes
        ],
        'usual': float(np.nanmean(scores)),
        'even': views(album.even),
        'course': Course(manifest, moments, album.signs.confidences, timeline, signs, start_ns)
        if len(moments) > 1
        else None,
    }


def _classes(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each class."""
    names = metrics['classes']
    confusion = np.array(metrics['tallies']['whole']['confusion'], np.int64)
    total = max(1, int(confusion.sum()))
    rows = []
    for index, name in enumerate(names):
        of_class = int(confusion[index].sum())
        wrong = confusion[index].copy()
        wrong[index] = 0
        other = int(wrong.argmax())
        rows.append(
            {
                'name': name,
                'iou': metrics['iou'][name],
                'boundary': metrics['boundary_iou']['iou'][name],
                'steady': metrics['temporal_consistency']['iou'][name],
                'share': of_class / total if of_class else None,
                'taken_for': (*names, 'no class')[other] if wrong.any() else None,
                'taken_share': int(wrong[other]) / of_class if of_class else None,
            }
        )
    return rows


def _mean_weights(router_weights: Mapping[str, Mapping[str, Any]]) -> list[float]:
    """By modality, mean over the levels."""
    rows = [[item['mean'] for item in level.values()] for level in router_weights.values()]
    return np.mean(rows, axis=0).tolist() if rows else []


def _worst_recording(recordings: Sequence[FleetRow]) -> FleetRow | None:
    """The one of lowest mIoU that has a report; None where none is scored."""
    scored = [(row.miou, row) for row in recordings if row.report and row.miou is not None]
    return min(scored, key=lambda item: item[0])[1] if scored else None


def _start_ns(metrics: Mapping[str, Any], moments: Sequence[Moment]) -> int:
    """What counts as 0 s: the start of the recording."""
    if len(metrics['bags']) == 1:
        return metrics['bags'][0]['start_ns']
    return moments[0].stamp_ns if moments else 0


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {'percent': _percent, 'words': plain_name, 'flat': _flat}
    environment.filters |= {'mean_weights': _mean_weights, 'ms': _ms}
    return environment


def _percent(value: float | None) -> str:
    return '–' if value is None or math.isnan(value) else f'{100 * value:.1f}'


def _ms(value: float) -> str:
    """As many decimals as tell something."""
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}' if value >= 1 else f'{value:.2f}'


def _flat(value: Any, prefix: str = '') -> list[tuple[str, Any]]:
    """Dotted names and plain values of a nested mapping."""
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    rows = []
    for name, item in value.items():
        rows += _flat(item, f'{prefix}.{name}' if prefix else str(name))
    return rows


def _hex(shade: tuple[int, int, int]) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*shade)
