"""Whether the pipeline's memory stays flat over a long drive, in accelerated time.

    python benchmarks/soak.py drive.mcap [--bundle engines/nano] [--minutes 30] [--engine]

The recording is driven again and again, each time later than before, so that for the pipeline it
is one drive of so many minutes: messages decoded, aligned, projected, results thrown away. Without
`--engine` nothing is inferred, which leaves all the memory that grows with the messages. Prints
the resident memory over the drive, and its slope over the second half.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
import os
from pathlib import Path
import time
from typing import Any

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.reader import BagReader, open_bag
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from null_engine import NullEngine
import numpy as np

_MINUTE_NS = 60_000_000_000
_NUM_ROWS = 15


class LongDrive:
    """A recording, again and again, as a reader that `bags.drive` takes."""

    def __init__(self, reader: BagReader, minutes: float) -> None:
        """Lengthen a recording to so many minutes."""
        self.path, self._reader = reader.path, reader
        log_times_ns = [item.log_time_ns for item in reader.raw()]
        self._length_ns = log_times_ns[-1] - log_times_ns[0] + 50_000_000
        self._num_rounds = max(1, round(minutes * _MINUTE_NS / self._length_ns))
        self.num_messages = reader.num_messages * self._num_rounds

    def messages(self, topics: Any = None) -> Iterator[Any]:
        """The messages of all rounds, each round later than the one before."""
        for index in range(self._num_rounds):
            shift_ns = index * self._length_ns
            for item in self._reader.messages(topics):
                message = _shifted(item.message, shift_ns, index * self._reader.num_messages)
                yield item._replace(log_time_ns=item.log_time_ns + shift_ns, message=message)


def _shifted(message: Any, shift_ns: int, sequence: int) -> Any:
    header = getattr(message, 'header', None)
    if header is None:  # transforms that stand for good
        return message
    stamp_ns = header.stamp.sec * 1_000_000_000 + header.stamp.nanosec + shift_ns
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = replace(header.stamp, sec=seconds, nanosec=nanoseconds)
    changes: dict[str, Any] = {'header': replace(header, stamp=stamp)}
    if hasattr(message, 'time_base'):
        changes |= {'time_base': message.time_base + shift_ns, 'seq': message.seq + sequence}
    return replace(message, **changes)


def main() -> None:
    """Drive and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('drive', type=Path)
    parser.add_argument('--bundle', type=Path, default=Path('engines/nano'))
    parser.add_argument('--minutes', type=float, default=30)
    parser.add_argument('--engine', action='store_true')
    options = parser.parse_args()
    bundle = Bundle.open(options.bundle)
    engine = open_engine(bundle) if options.engine else NullEngine(bundle)
    start_s = time.monotonic()
    with open_bag(options.drive) as bag:
        topics = find_topics(bag)
        drive = Drive(
            LongDrive(bag, options.minutes),
            topics,
            bundle.manifest,
            engine,
            calibration_of(bag, topics),
        )
        minutes, memory_mib = measure(drive, options.minutes)
    seconds = time.monotonic() - start_s
    account = drive.pipeline.account.to_mapping()
    print(f'{options.minutes:g} minutes of drive in {seconds:.0f} s; frames: {account}')
    half = len(minutes) // 2
    slope = np.polyfit(minutes[half:], memory_mib[half:], 1)[0]
    print(f'slope over the second half: {slope * 60:+.2f} MiB per hour of drive')


def measure(drive: Drive, total_minutes: float) -> tuple[list[float], list[float]]:
    """Minutes of drive and resident memory in MiB, about once per second of drive."""
    minutes: list[float] = []
    memory_mib: list[float] = []
    first_ns, printed = None, 0
    for now_ns, _ in drive.predictions():
        first_ns = now_ns if first_ns is None else first_ns
        minute = (now_ns - first_ns) / _MINUTE_NS
        if minutes and minute - minutes[-1] < 1 / 60:
            continue
        minutes.append(minute)
        memory_mib.append(resident_mib())
        if minute >= printed * total_minutes / _NUM_ROWS:
            print(f'{minute:6.1f} min {memory_mib[-1]:8.1f} MiB', flush=True)
            printed += 1
    return minutes, memory_mib


def resident_mib() -> float:
    """Memory of this process."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


if __name__ == '__main__':
    main()
