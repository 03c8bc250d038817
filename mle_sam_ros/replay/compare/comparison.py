"""What a candidate does better or worse than what stands: two results, figure by figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
import math
from typing import Any

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.compare.blocks import Interval, PairedBlocks
from mle_sam_ros.replay.compare.figures import figures
from mle_sam_ros.replay.compare.run import Run

# What may differ between runs that shall be compared: only the time it takes depends on it.
_ENGINE_ARGUMENTS = frozenset({'backend', 'threads', 'reuse_features'})
# Below so many blocks a percentile interval is known to be too narrow.
_FEW_BLOCKS = 20


@dataclass(frozen=True)
class Difference:
    """A figure of both results.

    Attributes:
        standing: its value in the one that stands; None where that has none.
        candidate: likewise.
        interval: of candidate minus standing; None where the figure has no blocks.
    """

    standing: float | None
    candidate: float | None
    interval: Interval | None = None

    @property
    def value(self) -> float | None:
        """Candidate minus standing; None where either has no such figure."""
        if self.standing is None or self.candidate is None:
            return None
        return self.candidate - self.standing


@dataclass(frozen=True)
class Comparison:
    """Everything that there is to say of two results.

    Attributes:
        standing: the one that stands.
        candidate: the other one.
        num_blocks: that both have, and that intervals stand on.
        warnings: why the two are not of one kind; empty where they are.
        notes: what else differs, or should be known.
        differences: by name of the figure, as of `compare_figures.figures`.
    """

    standing: Run
    candidate: Run
    num_blocks: int
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    differences: Mapping[str, Difference]


def compare(standing: Run, candidate: Run, seed: int = 0) -> Comparison:
    """Compare two results of the same recordings.

    Mean IoU, pixel accuracy and IoU by class are those of the blocks that both have, which is all
    of them where the same was replayed; only they get intervals.

    Args:
        standing: the one that stands.
        candidate: what may replace it.
        seed: of the bootstrap.

    Raises:
        InputError: for results over other classes, or without a common block.
    """
    _check_classes(standing, candidate)
    pairs = PairedBlocks.match(standing.blocks, candidate.blocks)
    if not len(pairs) and (standing.blocks or candidate.blocks):
        raise InputError(
            f'{candidate.path}: expected scored frames of the recordings of {standing.path} '
            f'({_listed([*_bags(standing).values()])}), got none, but of '
            f'{_listed([*_bags(candidate).values()])}; replay the same recordings'
        )
    return Comparison(
        standing,
        candidate,
        len(pairs),
        tuple(_warnings(standing, candidate, pairs)),
        tuple(_notes(standing, candidate, pairs)),
        _differences(standing, candidate, pairs, seed),
    )


def _check_classes(standing: Run, candidate: Run) -> None:
    if standing.classes == candidate.classes:
        return
    odd = [name for name in candidate.classes if name not in standing.classes]
    missing = [name for name in standing.classes if name not in candidate.classes]
    difference = '; '.join(
        f'{word} {", ".join(map(repr, names))}'
        for word, names in (('more:', odd), ('less:', missing))
        if names
    )
    raise InputError(
        f'{candidate.path}: expected the classes of {standing.path}, got '
        f'{difference or "another order"}; compare models of one class list'
    )


def _differences(
    standing: Run, candidate: Run, pairs: PairedBlocks, seed: int
) -> dict[str, Difference]:
    one = figures(standing.metrics, standing.latency)
    other = figures(candidate.metrics, candidate.latency)
    differences = {name: Difference(one.get(name), other.get(name)) for name in {**one, **other}}
    if not len(pairs):
        return differences
    names = ('miou', 'pixel_accuracy', *(f'iou.{name}' for name in standing.classes))
    scores = zip(names, *pairs.scores(), pairs.intervals(seed), strict=True)
    return differences | {
        name: Difference(_known(a), _known(b), interval) for name, a, b, interval in scores
    }


def _known(value: float) -> float | None:
    """As in the JSON: six decimals, None for NaN."""
    return None if math.isnan(value) else round(float(value), 6)


def _warnings(standing: Run, candidate: Run, pairs: PairedBlocks) -> Iterator[str]:
    """Why figures of the two do not stand for the same."""
    one, other = _bags(standing), _bags(candidate)
    for only, label in ((one.keys() - other, 'A'), (other.keys() - one, 'B')):
        if only:
            names = sorted((one | other)[sha256] for sha256 in only)
            yield f'only {label} has {_listed(names)}'
    for name, text in _changes(standing, candidate, 'arguments'):
        if name not in _ENGINE_ARGUMENTS:
            yield text
    for count, label in zip(pairs.num_unmatched, 'AB', strict=True):
        if count:
            yield f'{count} blocks that only {label} has are left out of mIoU, accuracy and IoU'
    if len(pairs) and pairs.num_differing:
        yield f'{pairs.num_differing} of {len(pairs)} blocks were scored on other frames'


def _notes(standing: Run, candidate: Run, pairs: PairedBlocks) -> Iterator[str]:
    """What else differs, or should be known."""
    for name, text in _changes(standing, candidate, 'arguments'):
        if name in _ENGINE_ARGUMENTS:
            yield text
    for _, text in _changes(standing, candidate, 'software'):
        yield text
    if not len(pairs):
        yield 'neither has blocks of scored frames: no figure has an interval'
    elif len(pairs) < _FEW_BLOCKS:
        yield (
            f'{len(pairs)} blocks are few, intervals are narrower than they should be: '
            'replay more or longer drives'
        )
    missing = [
        label for label, run in zip('AB', (standing, candidate), strict=True) if not run.latency
    ]
    if missing:
        yield f'no latency.json beside {" and ".join(missing)}: latencies are not compared'


def _bags(run: Run) -> dict[str, str]:
    """Hash to name of the recordings."""
    content = run.metrics.get('bags')
    items = content if isinstance(content, list) else []
    return {
        str(item.get('sha256')): str(item.get('name'))
        for item in items
        if isinstance(item, Mapping)
    }


def _listed(names: Sequence[str]) -> str:
    rest = f' and {len(names) - 3} more' if len(names) > 3 else ''
    return ', '.join(names[:3]) + rest if names else 'no recording'


def _changes(standing: Run, candidate: Run, section: str) -> Iterator[tuple[str, str]]:
    """Names of the members of a section that differ, and a line about each."""
    sections = [run.metrics.get(section) for run in (standing, candidate)]
    one, other = (item if isinstance(item, Mapping) else {} for item in sections)
    for name in {**one, **other}:
        leaves = list(_leaves(name, one.get(name), other.get(name)))
        if leaves:
            path, a, b = leaves[0]
            places = f' in {len(leaves)} places, such as {path}' if len(leaves) > 1 else ''
            label = name if places else path
            yield name, f'{label} differs{places}: {_shown(a)} in A, {_shown(b)} in B'


def _leaves(name: str, standing: Any, candidate: Any) -> Iterator[tuple[str, Any, Any]]:
    """Dotted paths of what differs between two pieces of JSON, and both sides of it."""
    if isinstance(standing, Mapping) and isinstance(candidate, Mapping):
        for key in {**standing, **candidate}:
            yield from _leaves(f'{name}.{key}', standing.get(key), candidate.get(key))
    elif standing != candidate:
        yield name, standing, candidate


def _shown(value: Any) -> str:
    if value is None or value in ([], {}, ''):
        return 'none'
    text = ', '.join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else f'{text[:39]}…'
