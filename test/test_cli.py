"""Bad input from outside: one line that says what, expected, got and the remedy; exit code 2."""

import json
import os
import subprocess
import sys

from bundles import write_tiny_bundle
from mle_sam_ros.cli import main
import pytest
from tiny_drive import write_drive
import yaml


@pytest.fixture
def bundle(tmp_path):
    return write_tiny_bundle(tmp_path / 'tiny').directory


@pytest.fixture
def drive(tmp_path):
    return write_drive(tmp_path / 'drive.mcap', num_frames=4)


# Ours, and those of argparse.
_REFUSALS = ('expected', 'invalid choice', 'required', 'unrecognized')


def refuse(capsys, arguments, *words):
    """Run a command that must fail in one line that holds some words."""
    assert main([str(argument) for argument in arguments]) == 2
    output = capsys.readouterr()
    message = output.err.strip().splitlines()[-1]  # a progress bar may stand above it
    assert message.startswith('mle-sam: ')
    assert any(text in message for text in _REFUSALS)
    for word in words:
        assert word in message
    assert 'Traceback' not in output.err


def edit_manifest(bundle, **changes):
    path = bundle / 'manifest.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_replay_of_a_truncated_bag(capsys, tmp_path, bundle, drive):
    drive.write_bytes(drive.read_bytes()[:-1000])
    out = tmp_path / 'out'
    refuse(capsys, ['replay', drive, '--bundle', bundle, '--out', out], 'drive.mcap')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['drive.mcap', 'tiny']


def test_replay_of_a_bag_without_a_camera(capsys, tmp_path, bundle):
    topics = ('/camera/image', '/camera/camera_info', '/ground_truth/labels')
    drive = write_drive(tmp_path / 'drive.mcap', num_frames=4, without=topics)
    out = tmp_path / 'out'
    refuse(capsys, ['replay', drive, '--bundle', bundle, '--out', out], 'camera', '/lidar/points')
    assert not out.exists()


def test_replay_of_something_else(capsys, tmp_path, bundle):
    (tmp_path / 'notes.mcap').write_text('not a bag')
    out = tmp_path / 'out'
    refuse(capsys, ['replay', tmp_path / 'notes.mcap', '--bundle', bundle, '--out', out])
    refuse(capsys, ['replay', tmp_path / 'none.mcap', '--bundle', bundle, '--out', out], 'none')
    assert not out.exists()


def test_replay_without_calibration(capsys, tmp_path, bundle):
    drive = write_drive(tmp_path / 'drive.mcap', num_frames=4, without=('/tf_static',))
    out = tmp_path / 'out'
    refuse(
        capsys, ['replay', drive, '--bundle', bundle, '--out', out], 'camera_from.', '--keep-going'
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'speed': 3}, ['manifest.json', 'got speed', 'remove it']),
        ({'files': {'../outside.onnx': '0' * 64}}, ['plain file names']),
        ({'schema_version': 9}, ['expected schema_version 1, got 9', 'export the bundle again']),
    ],
)
def test_bundle_with_a_wrong_manifest(capsys, bundle, changes, words):
    edit_manifest(bundle, **changes)
    refuse(capsys, ['check-bundle', bundle], *words)


def test_bundle_with_a_corrupt_graph(capsys, bundle):
    graph = bundle / 'encoder_lidar.onnx'
    graph.write_bytes(graph.read_bytes()[:100])
    refuse(capsys, ['check-bundle', bundle], 'encoder_lidar.onnx')


def test_bundle_that_is_none(capsys, tmp_path):
    refuse(capsys, ['check-bundle', tmp_path / 'none'], 'none')


def test_a_place_that_cannot_be_written(capsys, tmp_path, drive):
    refuse(capsys, ['calibration', drive, '--out', tmp_path / 'none' / 'rig.yaml'], 'rig.yaml')


def test_a_package_that_is_not_installed(capsys, monkeypatch, drive):
    monkeypatch.setitem(sys.modules, 'mle_sam_ros.ros.player', None)
    refuse(capsys, ['play', drive], 'mle_sam_ros.ros.player', 'pip install')


def test_a_bundle_without_half_precision(capsys, bundle):
    arguments = ['check-bundle', bundle, '--backend', 'onnx', '--precision', 'fp16']
    refuse(capsys, arguments, 'encoder_camera.fp16.onnx')


def test_a_good_bundle_is_described(capsys, bundle):
    assert main(['check-bundle', str(bundle), '--backend', 'onnx']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith('golden ')]) == 7 + 1


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], ['BUNDLE and --backend', 'got no bundle']),
        (['BUNDLE'], ['BUNDLE and --backend', 'tiny alone']),
        (['none', '--backend', 'onnx'], ['none: expected a bundle directory']),
        (['BUNDLE', '--backend', 'onnx', '--refittable'], ['onnx: expected no options']),
        (['BUNDLE', '--backend', 'tensorrt', '--optimization-level', '9'], ['0 to 5, got 9']),
    ],
)
def test_build_engine(capsys, tmp_path, monkeypatch, bundle, arguments, words):
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    refuse(capsys, ['build-engine', *(bundle if a == 'BUNDLE' else a for a in arguments)], *words)
    assert not (tmp_path / 'cache').exists()


def test_an_engine_that_needs_no_building_is_proven_and_measured(capsys, monkeypatch, bundle):
    monkeypatch.setattr('mle_sam_ros.runtime.latency._NUM_CALLS', (2, 2))
    assert main(['build-engine', str(bundle), '--backend', 'onnx']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('engine: tiny fp32 on ONNX Runtime')
    assert lines[0].endswith('nothing needs building')
    assert len([line for line in lines if line.startswith('golden ')]) == 7 + 1
    assert lines[-1].startswith('latency: p50 ')


def test_backends_are_those_of_the_runtime():
    from mle_sam_ros.cli import options
    from mle_sam_ros.runtime import build, engine

    assert (*engine.BACKENDS, *build.COMPILED_BACKENDS) == options.BACKENDS


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--condition', 'snow'], ['dusk', 'snow']),
        (['--failure', 'flat_tyre'], ['motion_blur', 'flat_tyre']),
        (['--outage', 'radar:1:2'], ['lidar', 'radar']),
        (['--outage', 'lidar:5:2'], ['from < to', 'got 5.0 to 2.0']),
        (['--seconds', '-1'], ['-1']),
    ],
)
def test_synthesize(capsys, tmp_path, arguments, words):
    pytest.importorskip('open3d')
    refuse(capsys, ['synthesize', '--out', tmp_path / 'drive.mcap', *arguments], *words)
    assert not list(tmp_path.iterdir())


def test_calibration_of_a_bag_serves_its_replay(capsys, tmp_path, bundle, drive):
    path, out = tmp_path / 'rig.yaml', tmp_path / 'out'
    assert main(['calibration', str(drive), '--out', str(path)]) == 0
    assert set(yaml.safe_load(path.read_text())['camera_from']) == {'event', 'lidar'}
    bare = write_drive(tmp_path / 'bare.mcap', num_frames=4, without=('/tf_static',))
    arguments = ['replay', bare, '--bundle', bundle, '--out', out, '--calibration', path]
    assert main([str(argument) for argument in arguments]) == 0
    assert (out / 'metrics.json').exists()
    assert str(out / 'report.html') in capsys.readouterr().out


def test_calibration_of_a_camchain(capsys, tmp_path):
    camera = {
        'camera_model': 'pinhole', 'intrinsics': [90.0, 90, 80, 40], 'resolution': [160, 80],
        'distortion_model': 'none', 'distortion_coeffs': [],
    }  # fmt: skip
    chain, path = tmp_path / 'camchain.yaml', tmp_path / 'rig.yaml'
    chain.write_text(yaml.safe_dump({'cam0': camera, 'cam1': camera}))
    command = ['calibration', chain, '--out', path]
    refuse(capsys, command, 'camera=cam0')
    assert main([*map(str, command), '--camera', 'camera=cam0']) == 0
    assert set(yaml.safe_load(path.read_text())['cameras']) == {'camera'}


def test_calibration_file_that_is_none(capsys, tmp_path, bundle, drive):
    (tmp_path / 'rig.yaml').write_text('cameras: [')
    command = ['replay', drive, '--bundle', bundle, '--out', tmp_path / 'out', '--calibration']
    refuse(capsys, [*command, tmp_path / 'rig.yaml'], 'rig.yaml')
    refuse(capsys, [*command, tmp_path / 'none.yaml'], 'none.yaml')


@pytest.mark.parametrize(
    'option',
    [
        ['--topic', 'camera'],
        ['--drop', 'radar'],
        ['--classes', 'towns'],
        ['--motion', 'wings'],
        ['--motion', 'twist'],
        ['--motion', 'tf'],
        ['--condition', ' '],
        ['--fixed-frame', 'odom'],
        ['--backend', 'abacus'],
        ['--speed', '3'],
    ],
)
def test_replay_options_are_refused_before_an_engine_is_opened(
    capsys, monkeypatch, tmp_path, bundle, drive, option
):
    monkeypatch.setattr('mle_sam_ros.replay.session.open_engine', None)
    command = ['replay', drive, '--bundle', bundle, '--out', tmp_path / 'out']
    refuse(capsys, [*command, *option], option[1])
    assert not (tmp_path / 'out').exists()


def test_a_backend_that_the_bundle_cannot_serve_is_refused_in_one_step(
    capsys, monkeypatch, tmp_path, bundle, drive
):
    pytest.importorskip('torch')
    monkeypatch.setenv('MLE_SAM_ENGINE_CACHE', str(tmp_path / 'cache'))
    command = ['replay', drive, '--bundle', bundle, '--out', tmp_path / 'out']
    refuse(capsys, [*command, '--backend', 'torch'], 'encoder_camera.pt2', '--programs')


def test_choices_are_those_of_the_rooms():
    from mle_sam_ros.cli import replay, simulation
    from mle_sam_ros.core.ego_motion import MOTION_SOURCES
    from mle_sam_ros.simulation.conditions import CONDITION_NAMES

    assert replay._MOTIONS == MOTION_SOURCES
    assert simulation._CONDITIONS == CONDITION_NAMES


@pytest.mark.parametrize('arguments', [['info', 'DRIVE'], ['--help'], ['--version']])
def test_a_reader_who_has_gone_is_no_error(drive, arguments):
    """As of `mle-sam info drive.mcap | head -1`, but with nobody there from the start."""
    reading, writing = os.pipe()
    os.close(reading)
    names = [str(drive) if item == 'DRIVE' else item for item in arguments]
    with os.fdopen(writing, 'wb') as pipe:
        done = subprocess.run(
            [sys.executable, '-m', 'mle_sam_ros.cli', *names],
            stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=120,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, '')
