"""One kernel beside what others offer for the same work, timed turn by turn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import process_time

ROUNDS = 12


@dataclass(frozen=True)
class KernelCase:
    """What to measure.

    Attributes:
        name: of the work.
        count: events or points in one call.
        kernel: does it with this package.
        peers: name to what does the same work; or, where that cannot run here, the reason.
    """

    name: str
    count: int
    kernel: Callable[[], object]
    peers: Mapping[str, Callable[[], object] | str]

    def lines(self) -> list[str]:
        """Measure: one line for the kernel, one for each peer.

        Everything takes its turn in every round, so that a busy moment of the machine falls on
        all of them; of each the fastest round counts. Time is the processor's, over all threads:
        what else runs does not count, and who uses more cores is not the faster for it.
        """
        runnable = {name: peer for name, peer in self.peers.items() if callable(peer)}
        calls = {'': self.kernel, **runnable}
        seconds = {name: [_seconds(call)] for name, call in calls.items()}  # may compile
        for _ in range(ROUNDS):
            for name, call in calls.items():
                seconds[name].append(_seconds(call))
        best = {name: min(times[1:]) for name, times in seconds.items()}
        rate = f'{self.count / best[""] / 1e6:.0f} M/s'
        lines = [f'{self.name:46}{1e3 * best[""]:>9.2f} ms{rate:>12}']
        for name, peer in self.peers.items():
            if callable(peer):
                ratio = best[name] / best['']
                lines.append(f'    {name:42}{1e3 * best[name]:>9.2f} ms{ratio:>10.2f} x')
            else:
                lines.append(f'    {name:42}  skipped: {peer}')
        return lines


def _seconds(call: Callable[[], object]) -> float:
    call()  # caches and heap as it leaves them itself, not as its neighbour did
    start = process_time()
    call()
    return process_time() - start
