"""A Ray of two workers for tests, and what makes it lose them."""

from collections.abc import Iterator
import os
from pathlib import Path
import signal
import threading

from mle_sam_ros.replay.fleet.cluster import Cluster, open_cluster
import pytest


def two_workers() -> Iterator[Cluster]:
    """Ray on this machine, whose workers can import the tests' tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', str(Path(__file__).parent), prepend=os.pathsep)
        with open_cluster(workers=2) as cluster:
            yield cluster


class Killer:
    """Kills the first processes that note themselves in a file."""

    def __init__(self, begun: Path, victims: int) -> None:
        self.killed: list[int] = []
        self._begun = begun
        self._victims = victims
        self._is_done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while len(self.killed) < self._victims and not self._is_done.wait(0.02):
            # Only whole lines: a number that is half written is another process.
            noted = self._begun.read_text().rpartition('\n')[0] if self._begun.exists() else ''
            for pid in map(int, noted.split()[len(self.killed) :]):
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)

    def __enter__(self) -> 'Killer':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_done.set()
        self._thread.join()
