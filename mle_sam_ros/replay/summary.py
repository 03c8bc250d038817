"""What a terminal shows of a replay."""

from collections.abc import Iterator, Mapping
import json
from pathlib import Path
from typing import Any

from mle_sam_ros.replay.plain_name import plain_name
from mle_sam_ros.replay.report.report import lowest, split_conditions, unused_sensors
from mle_sam_ros.replay.results import METRICS_NAME, REPORT_NAME
from mle_sam_ros.replay.score.latency import LATENCY_NAME


def summary(metrics: Mapping[str, Any], out: Path) -> str:
    """The figures that people look for first, and where the rest is.

    Args:
        metrics: the content of `metrics.json`.
        out: the directory it stands in.
    """
    lines = [
        *_verdict(metrics),
        *_frames(metrics['frames']),
        *_unused(metrics),
        *_latency(out / LATENCY_NAME),
        *_table('sensors', metrics['subsets']),
        *_comparability(metrics),
        *_table('condition', split_conditions(metrics)[0]),
    ]
    return '\n'.join([*lines, '', str(out / REPORT_NAME), str(out / METRICS_NAME)])


def _verdict(metrics: Mapping[str, Any]) -> Iterator[str]:
    scored = metrics['frames_scored']
    yield f'mIoU      {_percent(metrics["miou"])} over {scored} masks with ground truth'
    part, throughout = split_conditions(metrics)
    conditions = {name: item['miou'] for name, item in part.items()}
    for what, values in (('class', metrics['iou']), ('condition', conditions)):
        worst = lowest(values)
        if worst is not None:
            name, value = worst
            yield f'          worst {what}: {plain_name(name)}, {_percent(value)}'
    if throughout:
        yield f'          from beginning to end: {", ".join(map(plain_name, throughout))}'


def _frames(frames: Mapping[str, Any]) -> Iterator[str]:
    rejected = sum(frames['rejected'].values())
    # Only of a node whose recording ends before it is done.
    waiting = f', {frames["waiting"]} still waited' if frames['waiting'] else ''
    yield (
        f'frames    {frames["received"]} from the camera: {frames["emitted"]} got a mask, '
        f'{frames["superseded"]} skipped for a newer one, {rejected} rejected{waiting}'
    )
    for reason, number in frames['rejected'].items():
        yield f'          {number} rejected: {plain_name(reason)}'
    if frames['without_camera']:
        yield f'          {frames["without_camera"]} masks more while the camera was absent'


def _unused(metrics: Mapping[str, Any]) -> Iterator[str]:
    if unused := unused_sensors(metrics):
        taken = ', '.join(metrics['modalities'])
        yield f'unused    {", ".join(unused)}: the model takes {taken} only'


def _latency(path: Path) -> Iterator[str]:
    total = json.loads(path.read_text(encoding='utf-8'))['total']
    if total:
        yield (
            f'latency   {total["p50"]:.0f} ms median, {total["p95"]:.0f} ms for 95 %, '
            f'{total["p99"]:.0f} ms for 99 % of the masks'
        )


def _comparability(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Where rows of sensors stand on different masks."""
    if len(metrics['subsets']) > 1 and not metrics['arguments']['all_subsets']:
        yield 'Rows are of different masks: each counts for the sensors that were there.'
        yield '--subsets all tries every subset on the same ones.'


def _table(title: str, scores: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One line for each of the scores, with the number of masks that it stands on."""
    if scores:
        rows = {plain_name(name): item for name, item in scores.items()}
        width = max(22, *(len(name) for name in rows))
        yield f'\n{title:{width}}    mIoU  masks'
        for name, item in rows.items():
            yield f'{name:{width}} {_percent(item["miou"]):>7} {item["frames_scored"]:6}'


def _percent(value: float | None) -> str:
    return 'n/a' if value is None else f'{100 * value:.1f} %'
