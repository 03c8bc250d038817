"""What a split holds, in lines for the log."""

from collections import Counter
from collections.abc import Sequence

from mle_sam.datasets.sample import NO_FAILURE


def census(
    title: str,
    conditions: Sequence[str],
    failures: Sequence[str],
    published: int,
    expected_failures: Sequence[str] = (),
) -> str:
    """Count the samples of a split.

    Args:
        title: data set and split.
        conditions: of each sample.
        failures: of each sample.
        published: how many samples the split has in the literature.
        expected_failures: that the split should have samples of.

    Returns:
        One line with the counts; more lines where they are not those of the literature.
    """
    by_condition, by_failure = Counter(conditions), Counter(failures)
    counts = [f'{name} {by_condition[name]}' for name in sorted(by_condition)]
    if set(by_failure) - {NO_FAILURE}:
        counts += [f'{name} {by_failure[name]}' for name in sorted(by_failure)]
    lines = [f'{title}: {len(conditions)} samples ({", ".join(counts)})']
    if len(conditions) != published:
        lines.append(
            f'warning: the published split has {published}; results on these {len(conditions)} '
            'do not compare with the literature'
        )
    absent = [name for name in expected_failures if name not in by_failure]
    if absent:
        lines.append(f'warning: no sample of {", ".join(absent)}')
    return '\n'.join(lines)
