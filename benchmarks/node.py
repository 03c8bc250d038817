"""What a frame costs the perception node beside the conventional recipe, both without inference.

    python benchmarks/node.py [--bundle engines/nano] [--seconds 10] [--rounds 3] [--json FILE]

Full HD camera at 30 Hz, 262,144 points at 10 Hz and 10 million events per second, over DDS, to one
node after the other, in turns. Prints each node's processor time per mask and per second, and how
long a mask takes from the moment when the last thing that it needed had been sent. Where the
machine cannot carry that much, less arrives, at both: what was sent stands beside it.
"""

import argparse
from collections import defaultdict
import json
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
from typing import Any

from mle_sam_ros.bags.calibration_file import write_calibration
from mle_sam_ros.ros.environment import free_domain_id, private_environment
from node_rig import CALIBRATION, PERIODS_S
import numpy as np

HERE = Path(__file__).parent
OURS, CONVENTIONAL = 'perception node', 'conventional recipe'


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bundle', type=Path, default=Path('engines/nano'))
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', type=Path)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as room:
        write_calibration(Path(room) / 'rig.yaml', CALIBRATION)
        for _ in range(options.rounds):
            for name, program in programs(options.bundle.absolute(), Path(room)).items():
                runs[name].append(run(program, options.seconds, Path(room)))
    report = {name: summary(results) for name, results in runs.items()}
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + '\n')


def programs(bundle: Path, room: Path) -> dict[str, list[str]]:
    """The command lines of the two."""
    parameters = {
        'bundle': bundle,
        'calibration_file': room / 'rig.yaml',
        'event_message': 'point_cloud2',
    }
    arguments = [f'{name}:={value}' for name, value in parameters.items()]
    ours = [str(HERE / 'node_null.py'), '--ros-args']
    return {
        OURS: ours + [word for item in arguments for word in ('-p', item)],
        CONVENTIONAL: [str(HERE / 'node_conventional.py'), str(bundle)],
    }


def run(program: list[str], seconds: float, room: Path) -> dict[str, Any]:
    """Drive one node, and return what the sensors saw."""
    environment = private_environment(free_domain_id())
    with (room / 'log').open('w') as log:
        node = subprocess.Popen(
            [sys.executable, *program], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            sensors = subprocess.run(
                [sys.executable, str(HERE / 'node_sensors.py'), str(seconds), str(node.pid)],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                timeout=120 + seconds,
                check=True,
            )
            if node.poll() is not None:
                sys.exit(f'{program[0]} ended: {(room / "log").read_text()[-2000:]}')
        finally:
            node.send_signal(signal.SIGINT)
            node.wait(20)
    return json.loads(sensors.stdout)


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """All rounds of one node together."""
    masks, seconds = sum(run['masks'] for run in runs), sum(run['seconds'] for run in runs)
    cpu_s = sum(run['cpu_s'] for run in runs)
    latencies_ms = [value for run in runs for value in run['latency_ms']]
    p50_ms, p95_ms, p99_ms = np.percentile(latencies_ms, (50, 95, 99)).tolist()
    return {
        'sent_hz': {
            stream: sum(run['sent'][stream] for run in runs) / seconds for stream in PERIODS_S
        },
        'masks_hz': masks / seconds,
        'cpu_ms_per_mask': 1000 * cpu_s / masks,
        'cpu_share': cpu_s / seconds,
        'latency_ms': {'p50': p50_ms, 'p95': p95_ms, 'p99': p99_ms},
    }


def print_report(report: dict[str, dict[str, Any]]) -> None:
    """A row per node, and their ratio."""
    print(
        f'{"":20} {"sent Hz":>18} {"masks Hz":>9} {"CPU ms/mask":>12} {"cores":>6} '
        f'{"p50 ms":>7} {"p95 ms":>7} {"p99 ms":>7}'
    )
    for name, row in report.items():
        sent = ' '.join(f'{value:.0f}' for value in row['sent_hz'].values())
        latency = ' '.join(f'{value:7.1f}' for value in row['latency_ms'].values())
        print(
            f'{name:20} {sent:>18} {row["masks_hz"]:9.1f} {row["cpu_ms_per_mask"]:12.1f} '
            f'{row["cpu_share"]:6.2f} {latency}'
        )
    ratio = report[OURS]['cpu_ms_per_mask'] / report[CONVENTIONAL]['cpu_ms_per_mask']
    print(f'processor time per mask: {ratio:.2f} of the conventional recipe')


if __name__ == '__main__':
    main()
