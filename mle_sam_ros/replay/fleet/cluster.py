"""Processors that share the recordings of a fleet: Ray, on this machine or elsewhere."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import os
import secrets
import signal
import tempfile
import threading
from typing import Any
import warnings

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.runtime.contract import available_threads

LOCAL = 'local'
_CLIENT = 'ray://'
# Opens a Ray that was started here; one for the life of the process, as Ray reads it only once.
_TOKEN = secrets.token_hex(32)


@dataclass(frozen=True)
class Failure:
    """Why a task has no result.

    Attributes:
        reason: in one line.
    """

    reason: str


@dataclass(frozen=True)
class Cluster:
    """A running Ray; made by `open_cluster`.

    Attributes:
        workers: tasks that run at the same time.
        threads: processors of each task.
        gpus: of each task.
        attempts: how often a task is begun whose worker is lost each time.
    """

    workers: int
    threads: int
    gpus: int = 0
    attempts: int = 3

    def run(
        self,
        task: Callable[..., Any],
        jobs: Mapping[str, tuple[Any, ...]],
        on_lost: Callable[[str, int], None],
    ) -> Iterator[tuple[str, Any]]:
        """Run a task on every job, each in a process of its own.

        Args:
            task: a function that the workers can import.
            jobs: by name, arguments of the task.
            on_lost: called with a job's name and the attempts left when its worker was lost.

        Yields:
            Name, and what the task returned, or a `Failure` where it raised something or took its
            worker down each time; in the order in which they end.

        Raises:
            InputError: where the connection to the cluster is lost.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError

        # Retries are counted here: Ray's own would be silent, and without end where memory is.
        remote = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=0)(task)
        attempts_left = dict.fromkeys(jobs, self.attempts)
        waiting, running = deque(jobs), dict[Any, str]()
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    name = waiting.popleft()
                    attempts_left[name] -= 1
                    running[remote.options(name=f'replay {name}').remote(*jobs[name])] = name
                [done], _ = ray.wait(list(running), num_returns=1)
                name = running.pop(done)
                try:
                    result = ray.get(done)
                except RayTaskError as error:
                    result = Failure(_reason(error.cause))
                except RayError as error:
                    if attempts_left[name]:
                        on_lost(name, attempts_left[name])
                        waiting.append(name)
                        continue
                    result = Failure(
                        f'its worker was lost {self.attempts} times, at last by '
                        f'{_first_line(error).partition(". ")[0]}'
                    )
                yield name, result
        except ConnectionError as error:
            raise InputError(
                f'cluster: expected a connection that lasts, got {_first_line(error)}; run the '
                'command again to go on'
            ) from None


@contextmanager
def open_cluster(
    address: str = LOCAL, workers: int | None = None, threads: int = 1, needs_gpu: bool = False
) -> Iterator[Cluster]:
    """Start Ray on this machine, or connect to one that runs, for as long as the context lasts.

    Args:
        address: `local` starts one that no other machine can reach; else of a cluster, such as
            `ray://head:10001`.
        workers: tasks that run at the same time; None takes as many as there are processors for.
        threads: processors of each task.
        needs_gpu: whether each task takes a GPU, where there is any.

    Raises:
        InputError: where Ray is not installed, or the cluster cannot be reached or lacks
            processors.
    """
    for name, value in {'workers': workers, 'threads': threads}.items():
        if value is not None and value < 1:
            raise InputError(f'{name}: expected at least 1, got {value}; give a positive number')
    if not (address == LOCAL or address.startswith(_CLIENT)):
        raise InputError(
            f'address: expected {LOCAL}, or {_CLIENT} with the host and port of a Ray client '
            f'server, got {address!r}; on the head node itself it is {_CLIENT}127.0.0.1:10001'
        )
    with _local_ray(workers, threads) if address == LOCAL else _remote_ray(address) as resources:
        gpus = 1 if needs_gpu and resources.get('GPU', 0) >= 1 else 0
        most = int(resources.get('CPU', 0)) // threads
        most = min(most, int(resources['GPU'])) if gpus else most
        if most < 1:
            raise InputError(
                f'{address}: expected a cluster with {threads} processors, got '
                f'{int(resources.get("CPU", 0))}; give fewer --threads'
            )
        yield Cluster(workers or most, threads, gpus)


@contextmanager
def _local_ray(workers: int | None, threads: int) -> Iterator[Mapping[str, float]]:
    workers = workers or max(1, available_threads() // threads)
    with (
        # Paths of sockets must be short.
        tempfile.TemporaryDirectory(prefix='mle-sam-', dir='/tmp') as session,
        # Whatever lost workers leave behind goes with the directory.
        tempfile.TemporaryDirectory(prefix='mle-sam-fleet-') as room,
        _environment(
            TMPDIR=room,
            RAY_USAGE_STATS_ENABLED='0',
            # Listens on the loopback interface only, and to those who have the token.
            RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER='0',
            RAY_AUTH_MODE='token',
            RAY_AUTH_TOKEN=_TOKEN,
        ),
    ):
        ray = _import_ray()
        try:
            with _own_signals():
                _start(ray, threads * workers, session)
            yield ray.cluster_resources()
        finally:
            ray.shutdown()


@contextmanager
def _remote_ray(address: str) -> Iterator[Mapping[str, float]]:
    with _environment(RAY_USAGE_STATS_ENABLED='0'):
        ray = _import_ray()
        try:
            with _own_signals(), warnings.catch_warnings():
                warnings.simplefilter('ignore')
                _connect(ray, address)
        except Exception as error:  # the library has no common base for its exceptions
            raise InputError(
                f'{address}: expected a Ray cluster with Ray {ray.__version__} and this Python, '
                f'got {_first_line(error)}; correct --address, or give local'
            ) from None
        try:
            yield ray.cluster_resources()
        finally:
            ray.shutdown()


def _start(ray: Any, num_cpus: int, session: str) -> None:
    try:
        ray.init(
            LOCAL,
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level='ERROR',
            _temp_dir=session,
        )
    except Exception as error:  # the library has no common base for its exceptions
        raise InputError(
            f'{LOCAL}: expected Ray to start on this machine, got {_first_line(error)}; try again '
            'when it is less busy'
        ) from None


def _connect(ray: Any, address: str) -> None:
    """A busy head may take longer to begin a session than Ray waits: it is asked three times."""
    for attempt in range(3):
        try:
            ray.init(address, log_to_driver=False, logging_level='ERROR')
            return
        except ConnectionAbortedError:
            if attempt == 2:
                raise
            ray.shutdown()


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """SIGTERM stays with the program: Ray would end it without cleaning up."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, handler)


def _import_ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError(
            "ray: expected an installed package, got none; pip install 'mle_sam_ros[fleet]'"
        ) from None
    return ray


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, InputError) else _first_line(error)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0][:200]}' if lines else type(error).__name__
