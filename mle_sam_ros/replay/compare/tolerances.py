"""How much worse a candidate may be: tolerances, and whether they are kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import difflib
from fnmatch import fnmatchcase
import math
import re

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.compare.comparison import Comparison, Difference
from mle_sam_ros.replay.compare.figures import Kind, kind_of, SHORT_NAMES

# What a CI that asks for nothing else holds a candidate to; patterns that meet nothing are well.
GATE = (
    'miou=0.5',
    'conditions.*.miou=2',
    'boundary_iou.mean=1',
    'calibration.error=1',
    'frames_without_mask=0',
)


# Between the parts of a path, not within a number, as in conditions.lidar:rotate=0.5.miou.
_DOT = re.compile(r'(?<![0-9])\.|\.(?![0-9])')


@dataclass(frozen=True)
class Tolerance:
    """By how much figures may be worse.

    Attributes:
        pattern: name of a figure, or a pattern of names with `*`.
        amount: points of 100 of a rate, milliseconds, or a count; per cent where relative.
        is_relative: to the standing figure.
    """

    pattern: str
    amount: float
    is_relative: bool

    @classmethod
    def parse(cls, text: str) -> 'Tolerance':
        """Read `FIGURE=AMOUNT` or `FIGURE=PERCENT%`.

        Raises:
            InputError: for anything else.
        """
        name, _, amount = text.rpartition('=')
        try:
            value = float(amount.removesuffix('%'))
        except ValueError:
            value = math.nan
        if not name or not 0 <= value < math.inf:
            raise InputError(
                f'--tolerance: expected FIGURE=AMOUNT, as miou=0.5 or latency.p95=10%, got '
                f'{text!r:.80}; see mle-sam compare --help'
            )
        return cls(SHORT_NAMES.get(name, name), value, amount.endswith('%'))


@dataclass(frozen=True)
class Verdict:
    """What became of a tolerance.

    Attributes:
        name: of the figure.
        kind: of the figure.
        difference: candidate against standing.
        allowed: how much worse it may be, in the JSON's unit.
    """

    name: str
    kind: Kind
    difference: Difference
    allowed: float

    @property
    def loss(self) -> float:
        """How much worse the candidate is; infinite where it has no such figure."""
        value = self.difference.value
        if value is None:
            return math.inf
        return -self.kind.better * value if self.kind.better else abs(value)

    @property
    def is_kept(self) -> bool:
        """Whether the candidate is no worse than allowed; what rounding does is forgiven."""
        return self.loss <= self.allowed + 1e-9

    @property
    def is_certain(self) -> bool | None:
        """Whether the whole interval says the same; None without an interval."""
        interval = self.difference.interval
        if interval is None:
            return None
        losses = [-self.kind.better * bound for bound in interval]
        return max(losses) <= self.allowed if self.is_kept else min(losses) > self.allowed


def judge(comparison: Comparison, tolerances: Sequence[Tolerance]) -> list[Verdict]:
    """Hold a comparison to tolerances; the last one that names a figure counts.

    Raises:
        InputError: for a tolerance that meets no figure of the standing result.
    """
    verdicts: dict[str, Verdict] = {}
    for tolerance in tolerances:
        names = [*_met(comparison, tolerance.pattern)]
        if not names:
            raise _nothing_met(comparison, tolerance.pattern)
        verdicts |= {name: _verdict(comparison, name, tolerance) for name in names}
    return list(verdicts.values())


def gate(comparison: Comparison) -> list[Tolerance]:
    """The tolerances of `GATE` for which the standing result has figures."""
    tolerances = [Tolerance.parse(text) for text in GATE]
    return [item for item in tolerances if any(_met(comparison, item.pattern))]


def _met(comparison: Comparison, pattern: str) -> Iterator[str]:
    for name, difference in comparison.differences.items():
        if difference.standing is not None and (name == pattern or _fits(name, pattern)):
            yield name


def _fits(name: str, pattern: str) -> bool:
    """Whether a dotted path fits, part by part: a `*` stands for no dot."""
    parts, patterns = _DOT.split(name), _DOT.split(pattern)
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _verdict(comparison: Comparison, name: str, tolerance: Tolerance) -> Verdict:
    kind, difference = kind_of(name), comparison.differences[name]
    assert difference.standing is not None, 'met'
    share = tolerance.amount / 100
    allowed = (
        share * abs(difference.standing)
        if tolerance.is_relative
        else tolerance.amount / kind.unit.scale
    )
    return Verdict(name, kind, difference, allowed)


def _nothing_met(comparison: Comparison, pattern: str) -> InputError:
    names = [name for name, item in comparison.differences.items() if item.standing is not None]
    near = difflib.get_close_matches(pattern, [*SHORT_NAMES, *names], 3, 0.5) or sorted(names)[:5]
    return InputError(
        f'--tolerance {pattern!r:.60}: expected a figure of {comparison.standing.path}, such as '
        f'{", ".join(map(repr, near))[:200]}, got none of that name; correct it'
    )
