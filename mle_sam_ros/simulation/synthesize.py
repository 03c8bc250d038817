"""`mle-sam synthesize`: a simulated drive as a recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from operator import itemgetter
import os
from pathlib import Path

import cv2
from mle_sam_ros.bags.writer import BagWriter
from mle_sam_ros.simulation.recording import EPOCH_NS, Item, Recording
from mle_sam_ros.simulation.renderer import CAMERA_PERIOD_NS, Renderer, Slot, SLOT_NS
from mle_sam_ros.simulation.scenario import Scenario
from tqdm import tqdm

_MAX_PROCESSES = 8
_renderer: Renderer | None = None  # of a worker process


def synthesize(
    path: Path | str,
    scenario: Scenario,
    events_as: str = 'event_packet',
    *,
    num_processes: int | None = None,
    show_progress: bool = True,
) -> None:
    """Write a drive to a `.mcap` file, whole or not at all.

    The same scenario gives the same bytes, however many processes share the work. Topics:
    `/camera/image` and `/camera/camera_info` (20 Hz), `/event_camera/events` (100 Hz),
    `/event_camera/camera_info` (1 Hz), `/lidar/points` (10 Hz), `/odometry` (50 Hz), `/tf_static`
    (once), `/ground_truth/labels` (with each frame, also of a camera that is out). Weather and
    failure, where they hold for the whole drive, are noted as the recording's custom data.

    Args:
        path: of the file.
        scenario: of the drive.
        events_as: `event_packet` (event_camera_msgs) or `point_cloud2`.
        num_processes: that render; by default one per processor, 8 at most. More than one are
            spawned, so that a script must guard its main part.
        show_progress: on the terminal.

    Raises:
        InputError: for a path that cannot be written, or an unknown `events_as`.
    """
    recording = Recording(scenario, events_as)
    starts = range(0, scenario.duration_ns, SLOT_NS)
    limit = min(_MAX_PROCESSES, len(os.sched_getaffinity(0)))
    num_processes = min(num_processes or limit, len(starts))
    num_frames = -(-scenario.duration_ns // CAMERA_PERIOD_NS)
    progress = tqdm(
        total=num_frames, desc='simulating', unit='frame', disable=None if show_progress else True
    )
    with BagWriter(path, scenario.custom_data()) as bag, progress:
        for log_ns, topic, message in _in_order(recording, starts, scenario, num_processes):
            bag.write(topic, message, log_ns)
            if topic == '/ground_truth/labels':
                progress.update()


def _in_order(
    recording: Recording, starts: range, scenario: Scenario, num_processes: int
) -> Iterator[Item]:
    """All messages in order of log time; holds back what a later slot may overtake."""
    waiting = list(recording.start())
    for start_ns, slot in zip(starts, _slots(scenario, starts, num_processes), strict=True):
        waiting.extend(recording.slot(start_ns, slot))
        waiting.sort(key=itemgetter(0))
        limit_ns = EPOCH_NS + start_ns + SLOT_NS
        yield from (item for item in waiting if item[0] < limit_ns)
        waiting = [item for item in waiting if item[0] >= limit_ns]
    yield from waiting


def _slots(scenario: Scenario, starts: Iterable[int], num_processes: int) -> Iterator[Slot]:
    """The slots in order; each process is at most two ahead, which bounds the memory."""
    if num_processes == 1:
        yield from map(Renderer(scenario).render, starts)
        return
    pool = ProcessPoolExecutor(num_processes, get_context('spawn'), _start_worker, (scenario,))
    try:
        running = deque()
        for start_ns in starts:
            running.append(pool.submit(_render, start_ns))
            if len(running) == 2 * num_processes:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker(scenario: Scenario) -> None:
    global _renderer
    cv2.setNumThreads(1)
    _renderer = Renderer(scenario)


def _render(start_ns: int) -> Slot:
    assert _renderer is not None
    return _renderer.render(start_ns)
