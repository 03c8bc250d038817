"""ONNX Runtime against OpenVINO on one bundle, on this machine.

    python benchmarks/engines.py engines/nano [--seconds 5] [--threads 1 2] [--json engines.json]

Prints the median and the 99th percentile of each part, for all sensors and for each alone, and how
far the answers are from the golden ones. The backends take turns, so that both meet the same load.
"""

import argparse
import json
from pathlib import Path
import platform
from time import perf_counter

from mle_sam_ros.runtime.bundle import Bundle, GOLDEN_NAME
from mle_sam_ros.runtime.contract import available_threads
from mle_sam_ros.runtime.engine import BACKENDS, load_engine
from mle_sam_ros.runtime.golden import Golden, read_golden
from mle_sam_ros.runtime.proof import compare, DescribedEngine
import numpy as np

ROUNDS = 5


def main() -> None:
    arguments = _parse_arguments()
    bundle = Bundle.open(arguments.bundle)
    golden = read_golden(bundle.path(GOLDEN_NAME), bundle.manifest)
    names = bundle.manifest.modality_names
    engines = {
        (backend, threads): load_engine(bundle, backend, threads)
        for threads in arguments.threads
        for backend in BACKENDS
    }
    report: dict[str, object] = {
        'bundle': bundle.identity,
        'machine': f'{platform.machine()}, {available_threads()} processors',
        'engines': [
            {
                'engine': engine.description,
                'agreement': min(proof.agreement for proof in compare(engine, golden).subsets),
            }
            for engine in engines.values()
        ],
        'latency_ms': (rows := []),
    }
    print(f'{"present":20} {"engine":28} {"part":16} {"p50 ms":>8} {"p99 ms":>8}')
    for present in [names, *((name,) for name in names)]:
        samples = measure(engines, golden, present, arguments.seconds)
        for key, parts in samples.items():
            for part, values in parts.items():
                p50, p99 = np.percentile(values, [50, 99])
                row = ('+'.join(present), f'{key[0]}, {key[1]} threads', part)
                print(f'{row[0]:20} {row[1]:28} {part:16} {p50:8.2f} {p99:8.2f}')
                rows.append([*row, round(float(p50), 3), round(float(p99), 3), len(values)])
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + '\n')


def measure(
    engines: dict[tuple[str, int], DescribedEngine],
    golden: Golden,
    present: tuple[str, ...],
    seconds: float,
) -> dict[tuple[str, int], dict[str, list[float]]]:
    """Milliseconds by engine and part; `whole` is the call seen from outside."""
    samples: dict[tuple[str, int], dict[str, list[float]]] = {key: {} for key in engines}
    for _ in range(ROUNDS):
        for key, engine in engines.items():
            engine.infer(golden.rasters, frozenset(present))  # caches are another engine's
            until = perf_counter() + seconds / ROUNDS
            while (start := perf_counter()) < until:
                inference = engine.infer(golden.rasters, frozenset(present))
                whole_ms = (perf_counter() - start) * 1000
                for part, value in {**inference.timings_ms, 'whole': whole_ms}.items():
                    samples[key].setdefault(part, []).append(value)
    return samples


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('bundle', type=Path)
    parser.add_argument('--seconds', type=float, default=5.0, help='per engine and subset')
    parser.add_argument('--threads', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--json', type=Path, help='write the figures here as well')
    return parser.parse_args()


if __name__ == '__main__':
    main()
