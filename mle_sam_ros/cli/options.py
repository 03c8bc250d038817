"""What several commands have in common."""

import argparse
from collections.abc import Callable, Iterable

from mle_sam_ros.core.errors import InputError

BACKENDS = ('onnx', 'openvino', 'tensorrt', 'torch', 'torch_tensorrt')

Commands = argparse._SubParsersAction  # the type of `ArgumentParser.add_subparsers()`
Run = Callable[[argparse.Namespace], int | None]


def add_command(commands: Commands, name: str, run: Run, text: str) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: of the program.
        name: what users type.
        run: does it; gives the exit code, None for 0.
        text: what it does, in a phrase.
    """
    parser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    return parser


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add `--backend` and `--threads`."""
    parser.add_argument(
        '--backend',
        choices=('auto', *BACKENDS),
        default='auto',
        help='what runs the model',
    )
    parser.add_argument(
        '--threads', type=int, help='processors to use; else all, in a fleet one per recording'
    )


def add_topic_option(parser: argparse.ArgumentParser, text: str) -> None:
    """Add `--topic`, for recordings whose names do not tell; `topics_of` reads it."""
    parser.add_argument('--topic', action='append', default=[], metavar='STREAM=TOPIC', help=text)


def topics_of(options: argparse.Namespace) -> dict[str, str]:
    """Stream to topic, as given by `--topic`."""
    return dict(pair(text, '--topic', '=') for text in options.topic)


def pair(text: str, option: str, separator: str) -> tuple[str, str]:
    """Both names of `NAME=NAME`.

    Raises:
        InputError: where one is missing.
    """
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise InputError(f'{option}: expected NAME{separator}NAME, got {text!r}; give both names')
    return left, right


def names(text: str) -> list[str]:
    """The names in `one,two`."""
    return [name for name in text.split(',') if name]


def printable(text: str) -> str:
    """The text with every letter that is none as a question mark, ends of lines apart.

    Names come from files that nobody vouches for: none shall move the cursor of a terminal, or be
    what its encoding cannot hold.
    """
    return ''.join(letter if letter.isprintable() or letter == '\n' else '?' for letter in text)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines as they come."""
    for line in lines:
        print(printable(line))
