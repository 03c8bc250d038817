"""`mle-sam`: everything but training from the command line."""

import argparse
import os
import signal
import sys

import mle_sam_ros
from mle_sam_ros.cli import calibration, compare, engines, recordings, replay, simulation
from mle_sam_ros.core.errors import InputError

# In the order of the help. Rooms are imported where they are used: a vehicle needs no simulator,
# a laptop no ROS.
_FAMILIES = (simulation, replay, compare, recordings, engines, calibration)


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; 2 is the exit code for bad input, 130 for an interruption."""
    options = _parser().parse_args(arguments)
    # Ends like Ctrl-C, so that what is half-written is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return options.run(options) or 0
    except InputError as error:
        return _refuse(str(error))
    except ModuleNotFoundError as error:
        return _refuse(
            f'{error.name}: expected an installed package, got none; '
            "pip install 'mle_sam_ros[jazzy,simulation]', or source your ROS setup"
        )
    except BrokenPipeError:  # who reads our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _refuse(
            f'{error.filename}: expected a file or directory that can be used, got '
            f'{error.strerror}; correct the path or its permissions'
        )
    except KeyboardInterrupt:
        print('mle-sam: interrupted; nothing half-written is left', file=sys.stderr)
        return 130


def _refuse(message: str) -> int:
    print(f'mle-sam: {message}', file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mle-sam', description=__doc__)
    parser.add_argument('--version', action='version', version=mle_sam_ros.__version__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for family in _FAMILIES:
        family.add_commands(commands)
    return parser
