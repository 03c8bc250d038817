"""The table of faults and outcomes, for the documentation."""

from collections.abc import Sequence
from pathlib import Path

from fault_bench import Outcome
from faults import DURING_MS, Fault

_HEAD = f"""# Faults and what the node makes of them

Written by the tests that cause them: `make faults`. Each row is a drive over DDS to a node in a
process of its own, with a camera at 20 Hz, a LiDAR at 10 Hz and events at 50 Hz; the fault lasts
{DURING_MS / 1000:.1f} s, by /clock, which stands still while the machine is busy with something
else. *Masks* are those of that time (beside the camera frames that were sent),
*sensors* what most of them were made of, *back* the time from the end of the fault to the stamp
of the first mask of all sensors. In every row the account of frames adds up to what was sent.
*Reported* are the inputs that `/diagnostics` complained of: once per second, and of silence only
after one, so that one of {DURING_MS / 1000:.1f} s may pass without a word.

Tested beside them, in `test_process_faults.py`: an engine that fails and recovers; a driver that
is killed and starts again; a burst of 50 million events per second; a recording that is played
three times; a full disk while recording; SIGINT and SIGTERM in the middle of a frame.

| fault | frames | masks | sensors | frames rejected | reported | back |
|---|---|---|---|---|---|---|
"""


def write_table(path: Path, outcomes: Sequence[tuple[Fault, Outcome]]) -> None:
    """Write the page."""
    path.write_text(_HEAD + ''.join(_row(outcome) for _, outcome in outcomes), encoding='utf-8')


def _row(outcome: Outcome) -> str:
    rejected = ', '.join(f'{count} {reason}' for reason, count in outcome.rejected.items())
    cells = (
        outcome.fault,
        outcome.frames,
        outcome.masks,
        ', '.join(sorted(outcome.present)),
        rejected or 'none',
        ', '.join(sorted(outcome.reports)) or 'nothing',
        'never' if outcome.recovery_ms is None else f'{outcome.recovery_ms:.0f} ms',
    )
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |\n'
