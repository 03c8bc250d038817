"""Runs of a study as processes, a few side by side; what is finished is not done again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import fcntl
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import IO

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.record import to_mapping
from mle_sam_ros.runtime.bundle import sha256_of
from tqdm import tqdm
import yaml

from mle_sam.checkpoint import read_checkpoint
from mle_sam.recipe import Recipe
from mle_sam.scores import read_evaluation, write_text
from mle_sam.study.plan import Run

_PROGRAM = (sys.executable, '-m', 'mle_sam.cli')
_PAUSE_S = 0.2


class Conductor:
    """Trains and scores runs in order, each in processes of one thread."""

    def __init__(self, num_jobs: int, lock: IO[str]):
        """Get ready.

        Args:
            num_jobs: how many runs at a time.
            lock: of `locked`; the processes hold it, too, so that nobody starts a run anew while
                its process outlives a study that was killed.
        """
        self._num_jobs, self._lock = num_jobs, lock
        self._running: dict[subprocess.Popen, Run] = {}

    def conduct(self, runs: Sequence[Run]) -> list[Run]:
        """Bring runs to their end; returns those that failed, or whose trunk did.

        Ctrl-C, or `terminated` within this call, ends the processes after their present step.
        """
        waiting, failed = [run for run in runs if next(_commands(run), None)], []
        done = len(runs) - len(waiting)
        progress = tqdm(desc='study', unit='run', total=len(runs), initial=done)
        try:
            with progress:
                while waiting or self._running:
                    self._start_what_can_be(waiting, failed)
                    time.sleep(_PAUSE_S)
                    for process in [each for each in self._running if each.poll() is not None]:
                        self._take(process, failed)
                    if new := len(runs) - len(waiting) - len(self._running) - progress.n:
                        progress.update(new)
        finally:
            self._end_all()
        return failed

    def _start_what_can_be(self, waiting: list[Run], failed: list[Run]) -> None:
        for run in list(waiting):
            start = run.recipe.pretrained if run.stage == 'experts' else None
            if any(start == str(other.checkpoint) for other in failed):
                waiting.remove(run)
                failed.append(run)
                continue
            unfinished = [*waiting, *self._running.values()]
            is_ready = not any(start == str(other.checkpoint) for other in unfinished)
            if is_ready and len(self._running) < self._num_jobs:
                waiting.remove(run)
                self._start(run)

    def _start(self, run: Run) -> None:
        """The next step of a run."""
        recipe = yaml.safe_dump(to_mapping(run.recipe), sort_keys=False)
        run.directory.mkdir(parents=True, exist_ok=True)
        write_text(recipe, _recipe_path(run))
        command = next(_commands(run))
        with open(run.directory / 'log.txt', 'a') as log:
            process = subprocess.Popen(
                [*_PROGRAM, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(self._lock.fileno(),),
                env={**os.environ, 'OMP_NUM_THREADS': '1'},
                start_new_session=True,  # Ctrl-C is for the study, which tells its processes
            )
        self._running[process] = run

    def _take(self, process: subprocess.Popen, failed: list[Run]) -> None:
        """Go on with a run whose process has ended."""
        run = self._running.pop(process)
        if process.returncode:
            tqdm.write(f'{run.name} failed: see {run.directory}/log.txt', file=sys.stderr)
            failed.append(run)
        elif next(_commands(run), None):
            self._start(run)

    def _end_all(self) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()
        self._running.clear()


def check_unchanged(runs: Sequence[Run]) -> None:
    """Refuse to go on with runs of other recipes.

    Raises:
        InputError: for a checkpoint of another recipe than its run's.
    """
    for run in runs:
        if not run.checkpoint.exists():
            continue
        if _shaping(read_checkpoint(run.checkpoint).recipe, run) != _shaping(run.recipe, run):
            raise InputError(
                f'{run.checkpoint}: expected a run of the recipe as it is now, got one of another '
                f'(compare {_recipe_path(run)}); choose another directory, or remove this run'
            )


@contextmanager
def locked(root: Path) -> Iterator[IO[str]]:
    """Keep a directory of runs to one study.

    Raises:
        InputError: where another one is at work.
    """
    root.mkdir(parents=True, exist_ok=True)
    with open(root / '.lock', 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f'{root}: expected a directory that no other study works in, got one with '
                'running processes; wait, or end them'
            ) from None
        yield lock


@contextmanager
def terminated() -> Iterator[None]:
    """SIGTERM ends a study as Ctrl-C does."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _commands(run: Run) -> Iterator[list[str]]:
    """What is still to be done, in order."""
    if not _is_trained(run):
        yield [
            *('train', '--recipe', str(_recipe_path(run)), '--run-directory', str(run.directory)),
            *('--stage', run.stage, '--threads', '1'),
        ]
    if run.evaluation and not is_scored(run):
        yield [
            *('evaluate', '--checkpoint', str(run.checkpoint), '--out', str(run.directory)),
            *('--threads', '1', *(['--brief'] if run.is_brief else [])),
        ]


def _is_trained(run: Run) -> bool:
    return run.checkpoint.exists() and read_checkpoint(run.checkpoint).is_finished


def is_scored(run: Run) -> bool:
    """Whether there are scores of the checkpoint as it is now."""
    if run.evaluation is None or not (run.evaluation.exists() and run.checkpoint.exists()):
        return False
    (scores,) = read_evaluation(run.evaluation).checkpoints
    return scores.sha256 == sha256_of(run.checkpoint)


def _shaping(recipe: Recipe, run: Run) -> tuple[object, ...]:
    """What of a recipe shapes a run; of a trunk's not what comes after it."""
    start = recipe.pretrained if run.stage == 'experts' else None
    return recipe.seed, recipe.network_of(run.stage), recipe.stage(run.stage), recipe.data, start


def _recipe_path(run: Run) -> Path:
    return run.directory / 'planned.yaml'
