"""One side of a comparison: the results of a replay, read back and not trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
import json
import math
from pathlib import Path
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.compare.blocks import Blocks, read_blocks

_METRICS, _LATENCY = 'mle_sam_ros/metrics/1', 'mle_sam_ros/latency/1'
# A day of drives takes some ten megabytes.
_MAX_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class Run:
    """The results of one replay, or of a fleet of them.

    Attributes:
        path: of `metrics.json`.
        metrics: its content.
        latency: content of `latency.json` beside it; empty where there is none.
        classes: names, in order.
        blocks: of the scored frames.
    """

    path: Path
    metrics: Mapping[str, Any]
    latency: Mapping[str, Any]
    classes: tuple[str, ...]
    blocks: Blocks


def read_run(path: Path) -> Run:
    """Read results.

    Args:
        path: a `metrics.json`, or the directory that it stands in.

    Raises:
        InputError: where there is none, or it is not of this schema.
    """
    path = path / 'metrics.json' if path.is_dir() else path
    metrics = _read_json(path, _METRICS)
    classes = metrics.get('classes')
    if not (
        isinstance(classes, list)
        and 0 < len(classes) < 256
        and all(isinstance(name, str) for name in classes)
        and len(set(classes)) == len(classes)
    ):
        raise InputError(
            f'{path}: expected the names of the classes, got {classes!r:.60}; '
            'replay the drive again'
        )
    beside = path.with_name('latency.json')
    latency = _read_json(beside, _LATENCY) if beside.exists() else {}
    return Run(
        path, metrics, latency, tuple(classes), read_blocks(metrics, len(classes), str(path))
    )


def _read_json(path: Path, schema: str) -> dict[str, Any]:
    try:
        with path.open('rb') as file:
            data = file.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f'more than {_MAX_BYTES >> 20} MiB')
        content = json.loads(data, parse_constant=_refuse_constant, parse_float=_finite)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else ' '.join(str(error).split())
        raise InputError(
            f'{path}: expected results of mle-sam replay (JSON), got {reason}; '
            'give the path of a metrics.json'
        ) from None
    found = content.get('schema') if isinstance(content, dict) else None
    if found != schema:
        raise InputError(
            f'{path}: expected schema {schema}, got {found!r:.60}; '
            'replay the drive with this version'
        )
    return content


def _refuse_constant(name: str) -> float:
    raise ValueError(f'{name}, which is no number of JSON')


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text:.20}, which is too large')
    return value
