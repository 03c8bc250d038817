"""`mle-sam`: everything but training from the command line."""

import argparse
import os
import signal
import sys
from typing import NoReturn

import mle_sam_ros
from mle_sam_ros.cli import (
    calibration,
    compare,
    engines,
    fleet,
    live,
    recordings,
    replay,
    simulation,
)
from mle_sam_ros.cli.options import printable
from mle_sam_ros.core.errors import InputError

# In the order of the help. Rooms are imported where they are used: a vehicle needs no simulator,
# a laptop no ROS.
_FAMILIES = (simulation, replay, fleet, live, compare, recordings, engines, calibration)


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; 2 is the exit code for bad input, 130 for an interruption."""
    # Ends like Ctrl-C, so that what is half-written is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options = _parser().parse_args(arguments)
        code = options.run(options) or 0
        sys.stdout.flush()  # here, and not at the exit, a reader who has gone is no error
        return code
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
    line = printable(message).replace('\n', '?')
    print(f'mle-sam: {line}', file=sys.stderr)
    return 2


class _Parser(argparse.ArgumentParser):
    """Refuses arguments as everything else is refused: in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f'{message}; see {self.prog} --help')


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='mle-sam', description=__doc__)
    parser.add_argument('--version', action='version', version=mle_sam_ros.__version__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    for family in _FAMILIES:
        family.add_commands(commands)
    return parser
