"""The kernels beside the usual recipes and public libraries, in one run.

    python benchmarks/kernels.py [--only event]

Prints milliseconds of processor time per call (the fastest of several rounds), and of each peer
how many times as long it takes. A peer that is not installed is skipped, and the reason is
printed.
"""

import argparse

import event_kernels
import lidar_kernels

ROOMS = {'event': event_kernels, 'lidar': lidar_kernels}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', choices=ROOMS)
    only = parser.parse_args().only
    for room in [only] if only else ROOMS:
        for case in ROOMS[room].cases():
            print(*case.lines(), sep='\n', flush=True)


if __name__ == '__main__':
    main()
