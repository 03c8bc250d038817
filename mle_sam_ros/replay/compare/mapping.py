"""A comparison as JSON."""

from collections.abc import Sequence
import math
from typing import Any

from mle_sam_ros.replay.compare.comparison import Comparison, Difference
from mle_sam_ros.replay.compare.run import Run
from mle_sam_ros.replay.compare.tolerances import Verdict

_SCHEMA = 'mle_sam_ros/comparison/1'


def comparison_mapping(comparison: Comparison, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Every figure of both results by its dotted path, in the units of `metrics.json`."""
    return {
        'schema': _SCHEMA,
        'standing': _run_mapping(comparison.standing),
        'candidate': _run_mapping(comparison.candidate),
        'blocks': comparison.num_blocks,
        'warnings': list(comparison.warnings),
        'notes': list(comparison.notes),
        'figures': {name: _figure(item) for name, item in comparison.differences.items()},
        'tolerances': [_verdict_mapping(verdict) for verdict in verdicts],
        'is_kept': all(verdict.is_kept for verdict in verdicts),
    }


def _run_mapping(run: Run) -> dict[str, Any]:
    return {'path': str(run.path), 'bundle': run.metrics.get('bundle')}


def _figure(difference: Difference) -> dict[str, Any]:
    return {
        'standing': difference.standing,
        'candidate': difference.candidate,
        'difference': difference.value,
        'interval': difference.interval,
    }


def _verdict_mapping(verdict: Verdict) -> dict[str, Any]:
    return {
        'figure': verdict.name,
        'loss': None if math.isinf(verdict.loss) else verdict.loss,
        'allowed': verdict.allowed,
        'is_kept': verdict.is_kept,
        'is_certain': verdict.is_certain,
    }
