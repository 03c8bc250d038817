"""How far a fleet is: a bar on a terminal, and a line for each recording in any case."""

import sys
import time

from mle_sam_ros.replay.aggregate import FleetRow
from tqdm import tqdm


class FleetProgress:
    """Shows recordings as they end; on standard error, so that results alone are output."""

    def __init__(self, total: int) -> None:
        """Start with none of `total` recordings."""
        self._bar = tqdm(
            total=total,
            desc='recordings',
            bar_format='{desc} {n}/{total} {bar} {elapsed}{postfix}',
            disable=None,
            file=sys.stderr,
        )
        self._total = total
        self._num_masks = 0
        self._num_ended = 0
        self._num_failed = 0
        self._num_workers = 0
        self._begin_s = time.monotonic()

    def kept(self, row: FleetRow) -> None:
        """A recording has these results already."""
        self._end(row, 'kept: same recording, model and arguments')

    def done(self, row: FleetRow) -> None:
        """A recording was replayed."""
        self._num_masks += row.masks
        self._end(row, f'{row.masks} masks, mIoU {_percent(row.miou)}')

    def failed(self, row: FleetRow) -> None:
        """A recording has no results."""
        self._num_failed += 1
        self._end(row, f'failed: {row.failure}')

    def lost(self, name: str, attempts_left: int) -> None:
        """A recording's worker was lost; it is begun again."""
        self._say(f'{name}: its worker was lost; begun again (attempts left: {attempts_left})')

    def opening(self, count: int) -> None:
        """Workers are sought for so many recordings."""
        self._say(f'{count} of {self._total} recordings to replay; starting workers')

    def begin(self, num_workers: int) -> None:
        """The workers are there."""
        self._num_workers = num_workers
        self._begin_s = time.monotonic()
        self._show()

    def __enter__(self) -> 'FleetProgress':
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def _end(self, row: FleetRow, words: str) -> None:
        self._num_ended += 1
        self._bar.update()
        self._show()
        self._say(f'[{self._num_ended}/{self._total}] {row.name}: {words}')

    def _show(self) -> None:
        running = min(self._num_workers, self._total - self._num_ended)
        rate = self._num_masks / max(time.monotonic() - self._begin_s, 1e-3)
        self._bar.set_postfix_str(
            f'{running} running, {self._num_failed} failed, {rate:.1f} masks/s'
        )

    def _say(self, line: str) -> None:
        # Names come from files that nobody vouches for: none shall move the cursor.
        plain = ''.join(letter if letter.isprintable() else '?' for letter in line)
        self._bar.write(plain, file=sys.stderr)


def _percent(value: float | None) -> str:
    return 'n/a' if value is None else f'{100 * value:.1f} %'
