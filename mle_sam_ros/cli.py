"""`mle-sam`: everything but training from the command line."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
import os
from pathlib import Path
import signal
import sys

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.ros.environment import share_path


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; 2 is the exit code for bad input, 130 for an interruption."""
    options = _parser().parse_args(arguments)
    # Ends like Ctrl-C, so that what is half-written is taken away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        options.run(options)
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
    return 0


def _refuse(message: str) -> int:
    print(f'mle-sam: {message}', file=sys.stderr)
    return 2


_BACKENDS = ('onnx', 'openvino', 'tensorrt', 'torch', 'torch_tensorrt')
_DATA_SETS = ('dsec', 'm3ed', 'kitti', 'muses', 'deliver')

# Rooms are imported where they are used: a vehicle needs no simulator, a laptop no ROS.


def _demo(options: argparse.Namespace) -> None:
    from mle_sam_ros.demo import demo

    demo(options.out, options.bundle)


def _synthesize(options: argparse.Namespace) -> None:
    from mle_sam_ros.simulation.scenario import parse_failure, parse_outage, Scenario
    from mle_sam_ros.simulation.synthesize import synthesize

    scenario = Scenario(
        options.seed,
        options.seconds,
        options.condition,
        tuple(parse_failure(text) for text in options.failure),
        tuple(parse_outage(text) for text in options.outage),
    )
    synthesize(options.out, scenario, options.events_as)
    print(f'{options.out}  {options.out.stat().st_size / 1e6:.1f} MB')


def _replay(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.bags.settings_file import read_rig_settings
    from mle_sam_ros.core.settings import RigSettings
    from mle_sam_ros.replay.replay import replay, Settings
    from mle_sam_ros.replay.summary import summary

    rig = read_rig_settings(options.params) if options.params else RigSettings()
    if options.motion:
        rig = replace(rig, motion=options.motion, fixed_frame=options.fixed_frame)
    settings = Settings(
        options.bag,
        options.bundle,
        drop=options.drop,
        all_subsets=options.subsets == 'all',
        with_video=options.video,
        topics=dict(_pair(text, '--topic', '=') for text in options.topic),
        calibration=read_calibration(options.calibration) if options.calibration else None,
        labels=options.labels,
        classes=options.classes,
        backend=options.backend,
        threads=options.threads,
        reuse_features=options.reuse_features,
        keep_going=options.keep_going,
        rig=rig,
    )
    print(summary(replay(settings, options.out), options.out))


def _convert(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.convert.convert import convert

    convert(options.data_set, options.source, options.out, options.part)
    print(f'{options.out}  {options.out.stat().st_size / 1e6:.1f} MB')


def _info(options: argparse.Namespace) -> None:
    import json

    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.bags.info import recording_info
    from mle_sam_ros.bags.info_text import info_text
    from mle_sam_ros.bags.reader import open_bag
    from mle_sam_ros.core.record import to_mapping
    from mle_sam_ros.runtime.bundle import Bundle

    manifest = Bundle.open(options.bundle).manifest if options.bundle else None
    calibration = read_calibration(options.calibration) if options.calibration else None
    topics = dict(_pair(text, '--topic', '=') for text in options.topic)
    with open_bag(options.bag) as reader:
        info = recording_info(reader, topics, manifest, calibration)
    print(json.dumps(to_mapping(info), indent=2) if options.json else info_text(info))


def _play(options: argparse.Namespace) -> None:
    from mle_sam_ros.ros.player import play

    report = play(
        options.bag,
        rate=options.rate,
        topics=options.topics,
        remap=dict(_pair(text, '--remap', ':=') for text in options.remap),
        wait_for=options.wait_for,
    )
    print(report)


def _check_bundle(options: argparse.Namespace) -> None:
    from mle_sam_ros.runtime.check import check_bundle

    _print(check_bundle(options.bundle, options.backend, options.threads, options.precision))


def _build_engine(options: argparse.Namespace) -> None:
    from mle_sam_ros.runtime.build import BuildOptions
    from mle_sam_ros.runtime.build_report import build_and_report
    from mle_sam_ros.runtime.built_engines import list_engines, prune_engines

    if options.list or options.prune:
        if options.prune:
            _print(prune_engines(options.all))
        if options.list:
            _print(list_engines())
        return
    if not (options.bundle and options.backend):
        raise InputError(
            'build-engine: expected BUNDLE and --backend, or --list or --prune, got neither; '
            'see mle-sam build-engine --help'
        )
    build_options = BuildOptions(
        options.precision,
        options.optimization_level,
        None if options.workspace_mib is None else options.workspace_mib << 20,
        options.refittable,
        options.version_compatible,
    )
    _print(build_and_report(options.bundle, options.backend, build_options))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _calibration(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.calibration import calibration_of
    from mle_sam_ros.bags.calibration_file import read_calibration, write_calibration
    from mle_sam_ros.bags.describe import find_topics
    from mle_sam_ros.bags.reader import open_bag

    if options.source.suffix in ('.yaml', '.yml', '.json'):
        cameras = dict(_pair(text, '--camera', '=') for text in options.camera)
        calibration = read_calibration(options.source, cameras)
    else:
        topics = dict(_pair(text, '--topic', '=') for text in options.topic)
        with open_bag(options.source) as reader:
            calibration = calibration_of(reader, find_topics(reader, topics), options.rectified)
    write_calibration(options.out, calibration)
    print(options.out)


def _check_calibration(options: argparse.Namespace) -> None:
    from mle_sam_ros.bags.calibration_file import read_calibration
    from mle_sam_ros.replay.check_calibration import (
        check_calibration,
        CheckSettings,
        describe_scores,
    )

    settings = CheckSettings(
        options.bag,
        dict(_pair(text, '--topic', '=') for text in options.topic),
        read_calibration(options.calibration) if options.calibration else None,
    )
    _print(describe_scores(check_calibration(settings, options.out), options.out))


def _pair(text: str, option: str, separator: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise InputError(f'{option}: expected NAME{separator}NAME, got {text!r}; give both names')
    return left, right


def _names(text: str) -> list[str]:
    return [name for name in text.split(',') if name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='mle-sam', description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='COMMAND')

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str):
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    demo = command('demo', _demo, 'simulate a drive, run the node on it over ROS 2, and score it')
    demo.add_argument('--out', type=Path, default=Path('out/demo'), help='directory to write')
    demo.add_argument(
        '--bundle', type=Path, default=share_path('engines/nano'), help='model to run'
    )

    drive = command('synthesize', _synthesize, 'simulate a drive and write it as a bag')
    drive.add_argument('--out', type=Path, required=True, help='.mcap file to write')
    drive.add_argument('--seed', type=int, default=0, help='of town, traffic and noise')
    drive.add_argument('--seconds', type=float, default=10.0, help='length of the drive')
    drive.add_argument('--condition', default='day', help='day, dusk, night, fog or rain')
    drive.add_argument(
        '--failure', action='append', default=[], metavar='NAME[:FROM:TO]',
        help='motion_blur, over_exposure, under_exposure, lidar_jitter, event_low_resolution; '
        'for some seconds of the drive, or all of it; may be given again',
    )  # fmt: skip
    drive.add_argument(
        '--outage', action='append', default=[], metavar='STREAM[:FROM:TO]',
        help='camera, event or lidar gives no messages; may be given again',
    )  # fmt: skip
    drive.add_argument(
        '--events-as', choices=('event_packet', 'point_cloud2'), default='event_packet',
        help='message type of the events',
    )  # fmt: skip

    replay = command('replay', _replay, 'run a recorded drive through a model and score it')
    replay.add_argument('bag', type=Path, help='.mcap file or rosbag2 directory')
    replay.add_argument('--bundle', type=Path, required=True, help='model to run')
    replay.add_argument('--out', type=Path, required=True, help='directory to write')
    replay.add_argument(
        '--drop', type=_names, default=[], metavar='SENSOR[,…]', help='sensors to leave out'
    )
    replay.add_argument(
        '--subsets', choices=('all',), help='also score every subset of the sensors'
    )
    replay.add_argument('--video', action='store_true', help='also write overlay.mp4')
    replay.add_argument(
        '--topic', action='append', default=[], metavar='STREAM=TOPIC',
        help='where the names do not tell: camera, camera_info, event, event_camera_info, lidar, '
        'labels',
    )  # fmt: skip
    replay.add_argument(
        '--keep-going', action='store_true',
        help='count messages that cannot be used and go on, as the node does',
    )  # fmt: skip
    replay.add_argument('--calibration', type=Path, help='YAML file; else from the recording')
    replay.add_argument(
        '--params', type=Path, metavar='YAML', help="the node's parameter file: pairing in time, "
        'LiDARs, motion'
    )  # fmt: skip
    replay.add_argument(
        '--motion', help='of the vehicle, by which LiDAR points are moved to the exposure: none, '
        'odometry, twist or tf; else as in --params'
    )  # fmt: skip
    replay.add_argument('--fixed-frame', default='', help='of --motion tf, such as odom')
    replay.add_argument(
        '--labels', type=Path, metavar='FOLDER', help='label maps as PNG files named by stamp'
    )
    replay.add_argument(
        '--classes', metavar='NAME', help='of the label maps: cityscapes, muses, deliver, or a '
        'YAML file; else those of the model',
    )  # fmt: skip
    _add_engine_options(replay)
    replay.add_argument(
        '--reuse-features', action='store_true',
        help='encode a sweep once for all frames that it serves; the masks are the same',
    )  # fmt: skip

    info = command('info', _info, 'tell what is in a recording, and whether a model runs on it')
    info.add_argument('bag', type=Path, help='.mcap, .db3 or .bag file, or rosbag2 directory')
    info.add_argument('--bundle', type=Path, help='model to ask about')
    info.add_argument('--calibration', type=Path, help='YAML file; else from the recording')
    info.add_argument(
        '--topic', action='append', default=[], metavar='STREAM=TOPIC',
        help='where the names do not tell, as for replay',
    )  # fmt: skip
    info.add_argument('--json', action='store_true', help='print JSON')

    convert = command('convert', _convert, 'make a bag of a public recording')
    convert.add_argument('data_set', choices=_DATA_SETS)
    convert.add_argument(
        'source', type=Path, help='directory or file as downloaded; see docs/recordings.md'
    )
    convert.add_argument('out', type=Path, help='.mcap file to write')
    convert.add_argument(
        '--part', help='of muses, such as val/fog/night; of deliver, cloud/val/MAP_10_point102'
    )

    play = command('play', _play, 'publish a bag through ROS 2 with its timing and /clock')
    play.add_argument('bag', help='.mcap file or rosbag2 directory')
    play.add_argument('--rate', type=float, default=1.0, help='2.0 plays twice as fast')
    play.add_argument('--topics', nargs='*', default=[], help='topics to publish; else all')
    play.add_argument('--remap', nargs='*', default=[], metavar='FROM:=TO', help='other names')
    play.add_argument(
        '--wait-for', nargs='*', default=[], help='topics to wait for a subscriber on'
    )

    check = command('check-bundle', _check_bundle, 'verify hashes, shapes and golden outputs')
    check.add_argument('bundle', type=Path, help='directory of the model')
    _add_engine_options(check)
    check.add_argument(
        '--precision', choices=('fp32', 'fp16'), default='fp32', help='of the graphs to check'
    )

    build = command(
        'build-engine', _build_engine, 'compile a model for this machine, and prove it'
    )
    build.add_argument('bundle', type=Path, nargs='?', help='directory of the model')
    build.add_argument(
        '--backend', choices=_BACKENDS, help='what shall run it; only some need building'
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

    calibration = command(
        'calibration', _calibration, 'write the calibration of a bag or of a file as YAML'
    )
    calibration.add_argument(
        'source', type=Path, help="a recording, a Kalibr camchain (.yaml), MUSES' calib.json"
    )
    calibration.add_argument('--out', type=Path, required=True, help='YAML file to write')
    calibration.add_argument(
        '--camera', action='append', default=[], metavar='ROLE=CAM',
        help='of a camchain: which is camera, which event, as in camera=cam0; may be given again',
    )  # fmt: skip
    calibration.add_argument(
        '--topic', action='append', default=[], metavar='STREAM=TOPIC',
        help='of a recording: where the names do not tell',
    )  # fmt: skip
    calibration.add_argument(
        '--rectified',
        action='store_true',
        help="of a recording: the camera's images are rectified",
    )

    check_rig = command(
        'check-calibration', _check_calibration,
        'draw LiDAR and events over the images of a recording, and score the extrinsics',
    )  # fmt: skip
    check_rig.add_argument('bag', type=Path, help='.mcap file or rosbag2 directory')
    check_rig.add_argument('--calibration', type=Path, help='file; else from the recording')
    check_rig.add_argument(
        '--out', type=Path, default=Path('out/calibration'), help='directory to write'
    )
    check_rig.add_argument(
        '--topic', action='append', default=[], metavar='STREAM=TOPIC',
        help='where the names do not tell',
    )  # fmt: skip
    return parser


def _add_engine_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--backend',
        choices=('auto', *_BACKENDS),
        default='auto',
        help='what runs the model',
    )
    parser.add_argument('--threads', type=int, help='processors to use; else all')


if __name__ == '__main__':
    sys.exit(main())
