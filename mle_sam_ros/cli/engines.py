"""`mle-sam check-bundle|build-engine`: models, and what runs them on this machine."""

import argparse
from pathlib import Path

from mle_sam_ros.cli.options import (
    add_command,
    add_engine_options,
    BACKENDS,
    Commands,
    print_lines,
)
from mle_sam_ros.core.errors import InputError


def add_commands(commands: Commands) -> None:
    """Add them to the program."""
    check = add_command(
        commands, 'check-bundle', _check_bundle, 'verify hashes, shapes and golden outputs'
    )
    check.add_argument('bundle', type=Path, help='directory of the model')
    add_engine_options(check)
    check.add_argument(
        '--precision', choices=('fp32', 'fp16'), default='fp32', help='of the graphs to check'
    )

    build = add_command(
        commands, 'build-engine', _build_engine, 'compile a model for this machine, and prove it'
    )
    build.add_argument('bundle', type=Path, nargs='?', help='directory of the model')
    build.add_argument(
        '--backend', choices=BACKENDS, help='what shall run it; only some need building'
    )
    build.add_argument(
        '--precision', choices=('fp32', 'fp16'), help='else fp16 where the bundle has it'
    )
    build.add_argument(
        '--optimization-level', type=int, metavar='0…5', help='more finds faster kernels, later'
    )
    build.add_argument('--workspace-mib', type=int, help='GPU memory for a kernel; else all')
    build.add_argument('--refittable', action='store_true', help='weights can be replaced')
    build.add_argument(
        '--version-compatible', action='store_true', help='for later TensorRT as well, slower'
    )
    build.add_argument('--list', action='store_true', help='show what was built')
    build.add_argument('--prune', action='store_true', help='remove what nothing here can use')
    build.add_argument('--all', action='store_true', help='with --prune: remove everything')


def _check_bundle(options: argparse.Namespace) -> None:
    from mle_sam_ros.runtime.check import check_bundle

    print_lines(check_bundle(options.bundle, options.backend, options.threads, options.precision))


def _build_engine(options: argparse.Namespace) -> None:
    from mle_sam_ros.runtime.build import BuildOptions
    from mle_sam_ros.runtime.build_report import build_and_report
    from mle_sam_ros.runtime.built_engines import list_engines, prune_engines

    if options.list or options.prune:
        if options.prune:
            print_lines(prune_engines(options.all))
        if options.list:
            print_lines(list_engines())
        return
    if not (options.bundle and options.backend):
        got = f'{options.bundle} alone' if options.bundle else 'no bundle'
        raise InputError(
            'build-engine: expected BUNDLE and --backend, or --list or --prune, got '
            f'{got}; add --backend tensorrt, torch or torch_tensorrt'
        )
    build_options = BuildOptions(
        options.precision,
        options.optimization_level,
        None if options.workspace_mib is None else options.workspace_mib << 20,
        options.refittable,
        options.version_compatible,
    )
    print_lines(build_and_report(options.bundle, options.backend, build_options))
