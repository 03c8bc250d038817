"""What a fleet is to give, and a Ray of two workers, with what makes it lose them."""

from collections.abc import Iterator
from dataclasses import replace
import os
from pathlib import Path
import signal
import threading

from mle_sam_ros.replay.aggregate import aggregate
from mle_sam_ros.replay.fleet.cluster import Cluster, open_cluster
from mle_sam_ros.replay.replay import replay
from mle_sam_ros.replay.results import write_json
from mle_sam_ros.replay.session import Settings
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


def one_process(drives: list[Path], settings: Settings, room: Path) -> bytes:
    """The aggregate's bytes, without any of the fleet's machinery."""
    results = {}
    for path in drives:
        results[path.stem] = replay(replace(settings, bag_path=path), room / 'by_one' / path.stem)
    write_json(room / 'by_one' / 'metrics.json', aggregate(results))
    return (room / 'by_one' / 'metrics.json').read_bytes()
