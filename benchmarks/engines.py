"""What runs a bundle on this machine's processors, with how many threads, against eager PyTorch.

    python benchmarks/engines.py engines/nano [--seconds 5] [--threads 1 2] [--json engines.json]

Everything is timed alone, and beside a second thread that stands for the node's executor and never
rests: a node has to share its processors with what takes in its messages. All take turns, so that
each meets the same load. Prints the median and the 99th percentile of each part, for all sensors
and for each alone, and how far the answers are from the golden ones.

Eager PyTorch is the network of the bundle's recipe with random weights, which take as long as
trained ones; it is left out, and that is said, where the training package is not installed.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import json
from pathlib import Path
import platform
import threading
import time
from typing import Any

from mle_sam_ros.core.inference import Engine, Inference
from mle_sam_ros.core.record import from_mapping
from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.contract import available_threads
from mle_sam_ros.runtime.engine import BACKENDS, load_engine
from mle_sam_ros.runtime.golden import Golden, read_golden
from mle_sam_ros.runtime.proof import compare
import numpy as np

ROUNDS = 5
EAGER = 'eager'
_MESSAGE_BYTES = 1_200_000  # a camera image of 640 x 640


class EagerEngine:
    """The network as PyTorch runs it, one operation after another."""

    def __init__(self, bundle: Bundle, threads: int) -> None:
        # Imported here: the training package is another distribution.
        from mle_sam.config import MleSamConfig
        from mle_sam.models.mle_sam import MleSam
        import torch

        self._torch, self._threads = torch, threads
        where = f'{bundle.directory}: recipe: network'
        network = from_mapping(MleSamConfig, bundle.manifest.recipe['network'], where)
        self._names, self._model = network.modality_names, MleSam(network).eval()
        self.description = f'PyTorch {torch.__version__} eager fp32, {threads} threads'

    def infer(self, rasters: dict[str, np.ndarray], present: frozenset[str]) -> Inference:
        """Segment one instant; see `core.inference.Engine`."""
        torch = self._torch
        torch.set_num_threads(self._threads)
        mask = torch.tensor([[name in present for name in self._names]])
        tensors = {name: torch.from_numpy(rasters[name])[None] for name in present}
        with torch.inference_mode():
            segmentation = self._model(tensors, mask)
            confidence, label_map = self._model.logits(segmentation)[0].softmax(0).max(0)
            return Inference(
                label_map.to(torch.uint8).numpy(),
                (confidence * 255).round().to(torch.uint8).numpy(),
                segmentation.router_weights_BLM[0].numpy(),
                {},
            )


def main() -> None:
    arguments = _parse_arguments()
    bundle = Bundle.open(arguments.bundle)
    golden = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest)
    names = bundle.manifest.modality_names
    engines = load_engines(bundle, arguments.threads)
    report: dict[str, Any] = {
        'bundle': bundle.identity,
        'machine': f'{platform.machine()}, {available_threads()} processors',
        'engines': [describe(engine, golden) for engine in engines.values()],
        'latency': (rows := []),
    }
    print(
        f'{"present":20} {"engine":20} {"executor":9} {"part":16} {"p50 ms":>8} {"p99 ms":>8} '
        f'{"Hz":>6} {"x eager":>8}'
    )
    for present in [names, *((name,) for name in names)]:
        for executor in ('none', 'busy'):
            with busy_executor(executor == 'busy'):
                samples = measure(engines, golden, present, arguments.seconds)
            for row in summarise(samples, present, executor):
                rows.append(row)
                print_row(row)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + '\n')


def load_engines(bundle: Bundle, all_threads: list[int]) -> dict[tuple[str, int], Engine]:
    """By backend and number of threads."""
    engines: dict[tuple[str, int], Engine] = {}
    for threads in all_threads:
        for backend in BACKENDS:
            engines[backend, threads] = load_engine(bundle, backend, threads)
        try:
            engines[EAGER, threads] = EagerEngine(bundle, threads)
        except ModuleNotFoundError as error:
            print(f'{EAGER}, {threads} threads: skipped, {error.name} is not installed')
    return engines


def describe(engine: Engine, golden: Golden) -> dict[str, Any]:
    """What an engine is, and how far its answers agree; not those of random weights."""
    if isinstance(engine, EagerEngine):
        return {'engine': engine.description}
    agreement = min(subset.agreement for subset in compare(engine, golden).subsets)
    return {'engine': engine.description, 'agreement': agreement}


@contextmanager
def busy_executor(is_busy: bool) -> Iterator[None]:
    """Beside a thread that takes in messages without a pause.

    To copy a message holds the interpreter's lock, as converting it does; between two it is free.
    """
    ends = threading.Event()

    def take_in_messages() -> None:
        message = bytes(_MESSAGE_BYTES)
        while not ends.is_set():
            bytearray(message)
            time.sleep(0)

    thread = threading.Thread(target=take_in_messages)
    if is_busy:
        thread.start()
    try:
        yield
    finally:
        ends.set()
        if is_busy:
            thread.join()


def measure(
    engines: dict[tuple[str, int], Engine],
    golden: Golden,
    present: tuple[str, ...],
    seconds: float,
) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Milliseconds by engine and part; `whole` is the call seen from outside."""
    samples: dict[tuple[str, int], dict[str, list[float]]] = {key: {} for key in engines}
    for _ in range(ROUNDS):
        for key, engine in engines.items():
            engine.infer(golden.rasters, frozenset(present))  # caches are another engine's
            until = time.perf_counter() + seconds / ROUNDS
            while (start := time.perf_counter()) < until:
                inference = engine.infer(golden.rasters, frozenset(present))
                whole_ms = (time.perf_counter() - start) * 1000
                for part, value in {**inference.timings_ms, 'whole': whole_ms}.items():
                    samples[key].setdefault(part, []).append(value)
    return samples


def summarise(
    samples: dict[tuple[str, int], dict[str, list[float]]], present: tuple[str, ...], executor: str
) -> Iterator[dict[str, Any]]:
    """A row per engine and part; the whole beside the fastest eager one of the same run."""
    eager_ms = min(
        (np.median(parts['whole']) for (name, _), parts in samples.items() if name == EAGER),
        default=None,
    )
    for (name, threads), parts in samples.items():
        for part, values in parts.items():
            p50_ms, p99_ms = np.percentile(values, [50, 99])
            row = {
                'present': '+'.join(present),
                'engine': name,
                'threads': threads,
                'executor': executor,
                'part': part,
                'p50_ms': round(float(p50_ms), 3),
                'p99_ms': round(float(p99_ms), 3),
                'calls': len(values),
            }
            if part == 'whole':
                row['hz'] = round(1000 / float(p50_ms), 2)
                if eager_ms is not None:
                    row['times_eager'] = round(float(eager_ms / p50_ms), 2)
            yield row


def print_row(row: dict[str, Any]) -> None:
    print(
        f'{row["present"]:20} {row["engine"] + ", " + str(row["threads"]) + " threads":20} '
        f'{row["executor"]:9} {row["part"]:16} {row["p50_ms"]:8.2f} {row["p99_ms"]:8.2f} '
        f'{row.get("hz", ""):>6} {row.get("times_eager", ""):>8}'
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('bundle', type=Path)
    parser.add_argument(
        '--seconds', type=float, default=5.0, help='per engine, subset and load of the machine'
    )
    parser.add_argument(
        '--threads', type=int, nargs='+', default=list(range(1, available_threads() + 1))
    )
    parser.add_argument('--json', type=Path, help='write the figures here as well')
    return parser.parse_args()


if __name__ == '__main__':
    main()
