"""The results of a fleet: those of its recordings, added up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.score.latency import Latency
from mle_sam_ros.replay.score.scores import scores
from mle_sam_ros.replay.score.tallies import SCHEMA, Tallies

# What all recordings of a fleet must have in common for their counts to mean the same.
_SHARED = ('bundle', 'software', 'classes', 'modalities')


@dataclass(frozen=True)
class FleetRow:
    """One recording in the report of a fleet.

    Attributes:
        name: of its results, in the fleet's directory.
        conditions: that hold in some of it.
        seconds: that it lasts; None where it failed.
        masks: that were made.
        frames_scored: masks that met ground truth.
        miou: over all of them; None without ground truth.
        worst_condition: name and mIoU of the one with the lowest, of those that held for a part
            of it only; None without any.
        report: its own `report.html`, relative to the fleet's directory; None where it failed.
        failure: why it has no results, in one line; None where it has.
    """

    name: str
    conditions: tuple[str, ...] = ()
    seconds: float | None = None
    masks: int = 0
    frames_scored: int = 0
    miou: float | None = None
    worst_condition: tuple[str, float] | None = None
    report: str | None = None
    failure: str | None = None

    @classmethod
    def of(cls, name: str, metrics: Mapping[str, Any], report: str) -> FleetRow:
        """The row of a recording with these metrics."""
        [bag] = metrics['bags']
        masks = metrics['tallies']['whole']['frames']
        scored = [
            (item['miou'], condition)
            for condition, item in metrics['conditions'].items()
            if item['miou'] is not None and item['frames'] < masks
        ]
        return cls(
            name,
            tuple(bag['conditions']),
            bag['seconds'],
            masks,
            metrics['frames_scored'],
            metrics['miou'],
            min(scored)[::-1] if scored else None,
            report,
        )


def aggregate(
    results: Mapping[str, Mapping[str, Any]], failed: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Add up the metrics of recordings, as one process that had seen them all would count.

    Args:
        results: name to the content of `metrics.json`, at least one. Their order is of no account.
        failed: names of recordings without results, and why.

    Returns:
        Content of `metrics.json`, too: of the arguments with the topics that no two recordings
        have differently, and with `failed` where any did.

    Raises:
        InputError: for results of other models, software or arguments than the first, and for two
            of one recording.
    """
    # By what is in them: the names of results may depend on what else is in the fleet.
    names = sorted(results, key=lambda name: _order(results[name]))
    first = results[names[0]]
    _check_alike(results, names)
    total = Tallies.from_metrics(first, names[0])
    for name in names[1:]:
        total.add(Tallies.from_metrics(results[name], name))
    metrics = {
        'schema': SCHEMA,
        'bags': [bag for name in names for bag in results[name]['bags']],
        'bundle': first['bundle'],
        'software': first['software'],
        'arguments': {
            **first['arguments'],
            'topics': _common_topics([results[name]['arguments']['topics'] for name in names]),
        },
        'timeline': [span for name in names for span in _timeline(results[name])],
        **scores(total),
    }
    if failed:
        metrics['failed'] = [{'name': n, 'reason': failed[n]} for n in sorted(failed)]
    return metrics


def aggregate_latency(latencies: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Add up the latencies of recordings.

    Args:
        latencies: name to the content of `latency.json`.

    Returns:
        Content of `latency.json`, too.

    Raises:
        InputError: for something else.
    """
    total = Latency()
    for name in sorted(latencies):
        total.add_all(Latency.from_mapping(latencies[name], name))
    return total.to_mapping()


def _order(metrics: Mapping[str, Any]) -> tuple[str, str]:
    return metrics['bags'][0]['name'], metrics['bags'][0]['sha256']


def _check_alike(results: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> None:
    first = results[names[0]]
    bag_of: dict[str, str] = {}
    for name in names:
        expected, got = _conditions_of_counting(first), _conditions_of_counting(results[name])
        for key in {**expected, **got}:
            if expected.get(key) != got.get(key):
                raise InputError(
                    f'{name}: expected {key} {_short(expected.get(key))} as of {names[0]}, got '
                    f'{_short(got.get(key))}; replay both alike'
                )
        for bag in results[name]['bags']:
            twin = bag_of.setdefault(bag['sha256'], name)
            if twin != name:
                raise InputError(
                    f'{name}: expected another recording than {twin}, got a copy of it; '
                    'count it once'
                )


def _conditions_of_counting(metrics: Mapping[str, Any]) -> dict[str, Any]:
    arguments = {
        f'argument {key}': value
        for key, value in metrics['arguments'].items()
        if key != 'topics'  # recordings may name them differently, or lack some
    }
    return {**{key: metrics[key] for key in _SHARED}, **arguments}


def _timeline(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The timeline of a recording; seconds are its own."""
    return [{'bag': metrics['bags'][0]['sha256'], **span} for span in metrics['timeline']]


def _common_topics(topics: Sequence[Mapping[str, str]]) -> dict[str, str]:
    streams = sorted({stream for item in topics for stream in item})
    choices = {stream: {item[stream] for item in topics if stream in item} for stream in streams}
    return {stream: choice.pop() for stream, choice in choices.items() if len(choice) == 1}


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f'{text[:119]}…'
