"""How fast recordings are replayed, beside plain reading of the same recordings.

    python benchmarks/replay.py [--seconds 30] [--processors 2] [--json replay.json]
    python benchmarks/replay.py --engine auto [--bundle engines/nano] [--drive DRIVE.mcap]

Makes drives of camera (20 Hz, 640 x 320, then 1280 x 720), LiDAR (10 Hz, 65,536 points) and events
(2 million per second, EVT3), see `replay_drive.py`, as `ros2 bag record` writes them (neither
compressed nor with checksums), and the first one compressed with zstd, too. It measures one after
another in one process, when everything is loaded and compiled: reading with the mcap library,
reading with rosbags (deserialised), reading with this package, the drive (read, decoded,
projected), and replays with `--annotated` masks, as by default, and full. The engine takes no time
unless one is named; then it is told how much longer than the sum of its inferences a replay takes.

Two ratios count: how many seconds of drive go by in a second (`realtime`), and how much longer
than plain reading with rosbags it takes (`of_rosbags`), which depends less on the machine. Of what
has stages it is also told what each takes of the processors for a frame.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any
from unittest.mock import patch

import cv2
from mcap.reader import make_reader
from mle_sam_ros.bags.ahead import Ahead
from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import find_topics
from mle_sam_ros.bags.drive import Drive
from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.bags.typestore import new_typestore
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay import session
from mle_sam_ros.replay.replay import replay, Settings
from mle_sam_ros.runtime.bundle import Bundle
from mle_sam_ros.runtime.engine import open_engine
from null_engine import NullEngine
import numpy as np
from replay_drive import label_map, write_drive
from rosbags.highlevel import AnyReader

# The camera's (height, width), and how the drive's file is compressed.
DRIVES: dict[str, tuple[tuple[int, int], Any]] = {
    '640 x 320': ((320, 640), 'none'),
    '640 x 320, zstd': ((320, 640), 'zstd'),
    '1280 x 720': ((720, 1280), 'none'),
}
# What a thread does whose work has this name; the main one writes.
STAGES = {
    '<genexpr>': 'unpack chunks',
    '_instants': 'read, decode, project',
    'views': 'infer, find the ground truth',
    '_scored': 'score',
}
_WARM_UP_S = 2.0


def read_with_mcap(drive: Path) -> None:
    """Every message, serialised."""
    with drive.open('rb') as stream:
        for _ in make_reader(stream, validate_crcs=True).iter_messages():
            pass


def read_with_rosbags(drive: Path) -> None:
    """Every message, deserialised."""
    with AnyReader([drive], default_typestore=new_typestore()) as reader:
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)


def read(drive: Path) -> None:
    """Every message, deserialised."""
    with open_bag(drive) as bag:
        for _ in bag.messages():
            pass


def drive_through(drive: Path, bundle: Bundle, engine: Any) -> None:
    """Read, decoded and projected."""
    with open_bag(drive) as bag:
        topics = find_topics(bag)
        calibration = calibration_of(bag, topics)
        for _ in Drive(bag, topics, bundle.manifest, engine, calibration).predictions():
            pass


def still_engine(bundle: Bundle) -> NullEngine:
    """Takes no time, but has answers that take time to score, draw and pack."""
    engine = NullEngine(bundle)
    rows, columns = np.indices(bundle.manifest.input_hw)
    engine.label_map = label_map(bundle.manifest.input_hw, 0.3)
    waves = 128 + 60 * np.sin(rows / 9) + 60 * np.sin(columns / 13)
    engine.confidence = (255 - waves / (1 + rows / 50)).astype(np.uint8)
    return engine


class Timed:
    """An engine, and how long its inferences took in all."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def infer(self, *arguments: Any) -> Any:
        """As the engine."""
        start_s = time.perf_counter()
        try:
            return self._engine.infer(*arguments)
        finally:
            self.seconds += time.perf_counter() - start_s


@contextmanager
def stages_timed() -> Iterator[Counter[str]]:
    """Seconds of processors by stage; whole when the work is done."""
    seconds: Counter[str] = Counter()
    run = Ahead._run

    def run_timed(ahead: Any) -> None:
        run(ahead)
        seconds[STAGES[ahead._items.__name__]] += time.thread_time()

    start_s = time.thread_time()
    with patch.object(Ahead, '_run', run_timed):
        yield seconds
    seconds['write'] = time.thread_time() - start_s


def measured(work: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """Of the fastest round: seconds that went by, of processors, and of these by stage."""
    fastest: dict[str, Any] = {}
    for _ in range(rounds):
        start_s, cpu_s = time.perf_counter(), time.process_time()
        with stages_timed() as stages:
            work()
        wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - cpu_s
        if not fastest or wall_s < fastest['wall_s']:
            rounded = {stage: round(value, 3) for stage, value in stages.items()}
            fastest = {'wall_s': round(wall_s, 3), 'cpu_s': round(cpu_s, 3), 'stages_s': rounded}
    return fastest


@contextmanager
def engine_of_replays(engine: Any):
    """Have replays take this one."""
    with patch.object(session, 'open_engine', lambda *_: engine):
        yield


def measure_null(drive: Path, bundle: Bundle, room: Path, rounds: int) -> dict[str, Any]:
    """All that is to be compared, of one drive, without an engine."""
    engine = still_engine(bundle)

    def run(annotated: str) -> None:
        replay(Settings(drive, bundle.directory, annotated=annotated), room / 'out')

    works: dict[str, Callable[[], Any]] = {
        'mcap': lambda: read_with_mcap(drive),
        'rosbags': lambda: read_with_rosbags(drive),
        'read': lambda: read(drive),
        'drive': lambda: drive_through(drive, bundle, engine),
        'replay_masks': lambda: run('masks'),
        'replay': lambda: run('sampled'),
        'replay_full': lambda: run('full'),
    }
    with engine_of_replays(engine):
        return {name: measured(work, rounds) for name, work in works.items()}


def measure_engine(drive: Path, bundle: Bundle, room: Path, backend: str) -> dict[str, Any]:
    """What a replay takes beyond its inferences, with the sensors as they are and all subsets."""
    results = {}
    for name, all_subsets in (('replay', False), ('replay_all_subsets', True)):
        engine = Timed(open_engine(bundle, backend))
        settings = Settings(drive, bundle.directory, all_subsets=all_subsets)
        with engine_of_replays(engine):
            times = measured(lambda settings=settings: replay(settings, room / 'out'), 1)
        results[name] = {**times, 'inference_s': round(engine.seconds, 3)}
    return results


def start_up_s() -> float:
    """From the command to the help of `mle-sam replay`, the fastest of three."""
    command = [sys.executable, '-m', 'mle_sam_ros.cli', 'replay', '--help']
    works = [
        measured(lambda: subprocess.run(command, check=True, capture_output=True), 1)
        for _ in range(3)
    ]
    return min(work['wall_s'] for work in works)


def length_s(drive: Path) -> float:
    """From the first to the last message."""
    with open_bag(drive) as bag:
        times_ns = [item.log_time_ns for item in bag.raw()]
    return (times_ns[-1] - times_ns[0]) / 1e9


def table(name: str, results: dict[str, Any]) -> str:
    """The results of one drive for people."""
    lines = [f'{name}: {results["seconds"]:.1f} s of drive, {results["megabytes"]:.0f} MB']
    for work, item in results['works'].items():
        line = f'  {work:26}{item["wall_s"]:>8.2f} s{item["cpu_s"]:>8.2f} s of processors'
        line += f'{item["realtime"]:>8.1f} x real time'
        if 'of_rosbags' in item:
            line += f'{item["of_rosbags"]:>7.2f} x rosbags'
        if 'inference_s' in item:
            line += f'{item["inference_s"]:>8.2f} s of inference'
        lines.append(line)
        if len(item['stages_s']) > 2:
            per_frame = 1e3 / (20 * results['seconds'])
            parts = [f'{part} {value * per_frame:.1f}' for part, value in item['stages_s'].items()]
            lines.append(f'{"":28}ms of processors for a frame: {", ".join(parts)}')
    return '\n'.join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', type=Path, default=Path('engines/nano'))
    parser.add_argument('--seconds', type=float, default=30)
    parser.add_argument('--processors', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=2)
    parser.add_argument('--engine', help='a backend; none by default')
    parser.add_argument('--drive', type=Path, help='of its own; none is made then')
    parser.add_argument('--json', type=Path, help='file to write')
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.processors])
    cv2.setNumThreads(options.processors)
    try:
        bundle = Bundle.open(options.bundle)
        if options.drive is not None:
            open_bag(options.drive).close()
    except InputError as error:
        sys.exit(str(error))
    results: dict[str, Any] = {
        'processors': options.processors,
        'engine': options.engine or 'none',
        'start_up_s': start_up_s(),
        'drives': {},
    }
    with tempfile.TemporaryDirectory() as directory:
        room = Path(directory)
        for name, (image_hw, compression) in DRIVES.items():
            drive = options.drive or room / 'drive.mcap'
            if options.drive is None:
                write_drive(room / 'warm_up.mcap', _WARM_UP_S, image_hw)
                measure_null(room / 'warm_up.mcap', bundle, room, 1)
                write_drive(drive, options.seconds, image_hw, compression)
            if options.engine is None:
                works = measure_null(drive, bundle, room, options.rounds)
            else:
                works = measure_engine(drive, bundle, room, options.engine)
            seconds = length_s(drive)
            for item in works.values():
                item['realtime'] = round(seconds / item['wall_s'], 2)
                if 'rosbags' in works:
                    item['of_rosbags'] = round(item['wall_s'] / works['rosbags']['wall_s'], 2)
            name = name if options.drive is None else drive.name
            results['drives'][name] = {
                'seconds': round(seconds, 3),
                'megabytes': round(drive.stat().st_size / 1e6, 1),
                'works': works,
            }
            print(table(name, results['drives'][name]), flush=True)
            if options.drive is not None:
                break
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
