"""What a terminal shows of a replay."""

from collections.abc import Iterator, Mapping
import json
from pathlib import Path
from typing import Any

from mle_sam_ros.replay.report.report import lowest
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
        *_latency(out / LATENCY_NAME),
        *_table('sensors', metrics['subsets']),
    ]
    if len(metrics['conditions']) > 1:
        lines += _table('condition', metrics['conditions'])
    return '\n'.join([*lines, '', str(out / REPORT_NAME), str(out / METRICS_NAME)])


def _verdict(metrics: Mapping[str, Any]) -> Iterator[str]:
    yield f'mIoU      {_percent(metrics["miou"])} over {metrics["frames_scored"]} masks'
    conditions = {name: item['miou'] for name, item in metrics['conditions'].items()}
    for what, values in (('class', metrics['iou']), ('condition', conditions)):
        worst = lowest(values)
        if worst is not None:
            name, value = worst
            yield f'          worst {what}: {name.replace("_", " ")}, {_percent(value)}'


def _frames(frames: Mapping[str, Any]) -> Iterator[str]:
    rejected = sum(frames['rejected'].values())
    # Only of a node whose recording ends before it is done.
    waiting = f' + {frames["waiting"]} waiting' if frames['waiting'] else ''
    yield (
        f'frames    {frames["received"]} received = {frames["emitted"]} emitted '
        f'+ {frames["superseded"]} superseded + {rejected} rejected{waiting}; '
        f'{frames["without_camera"]} masks without the camera'
    )
    for reason, number in frames['rejected'].items():
        yield f'          {number} rejected: {reason.replace("_", " ")}'


def _latency(path: Path) -> Iterator[str]:
    total = json.loads(path.read_text(encoding='utf-8'))['total']
    if total:
        percentiles = ', '.join(f'{name} {total[name]:.0f} ms' for name in ('p50', 'p95', 'p99'))
        yield f'latency   {percentiles}'


def _table(title: str, scores: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """One line for each of the scores, with the number of masks that it stands on."""
    if scores:
        width = max(22, *(len(name) for name in scores))
        yield f'\n{title:{width}}    mIoU  masks'
        for name, item in scores.items():
            yield f'{name:{width}} {_percent(item["miou"]):>7} {item["frames_scored"]:6}'


def _percent(value: float | None) -> str:
    return 'n/a' if value is None else f'{100 * value:.1f} %'
