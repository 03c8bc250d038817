"""What a terminal shows of a replay."""

from collections.abc import Mapping
import json
from pathlib import Path
from typing import Any

from mle_sam_ros.replay.latency import LATENCY_NAME
from mle_sam_ros.replay.results import METRICS_NAME, REPORT_NAME


def summary(metrics: Mapping[str, Any], out: Path) -> str:
    """The figures that people look for first, and where the rest is.

    Args:
        metrics: the content of `metrics.json`.
        out: the directory it stands in.
    """
    frames = metrics['frames']
    rejected = sum(frames['rejected'].values())
    lines = [
        f'mIoU      {_percent(metrics["miou"])} over {metrics["frames_scored"]} masks',
        f'frames    {frames["received"]} received = {frames["emitted"]} emitted '
        f'+ {frames["superseded"]} superseded + {rejected} rejected; '
        f'{frames["without_camera"]} masks without the camera',
    ]
    lines += [f'          {n} rejected: {reason}' for reason, n in frames['rejected'].items()]
    latency = json.loads((out / LATENCY_NAME).read_text(encoding='utf-8'))['total']
    if latency:
        lines.append(
            f'latency   p50 {latency["p50"]:.0f} ms, '
            f'p95 {latency["p95"]:.0f} ms, p99 {latency["p99"]:.0f} ms'
        )
    lines += ['', 'sensors                mIoU']
    lines += [f'{key:22} {_percent(score["miou"])}' for key, score in metrics['subsets'].items()]
    return '\n'.join([*lines, '', str(out / REPORT_NAME), str(out / METRICS_NAME)])


def _percent(value: float | None) -> str:
    return 'n/a' if value is None else f'{100 * value:.1f} %'
