"""The launch file of a live replay: its words; and, where `launch` is installed, a real run."""

import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from bundles import write_tiny_bundle
from cloud_drive import write_cloud_drive
import pytest
import yaml

ROOT = Path(__file__).parent.parent
LAUNCH_FILE = ROOT / 'launch/replay.launch.py'
# Of which nothing is lost on the way, however busy the machine.
EVERY_FRAME = {
    f'qos_overrides./camera/image.subscription.{name}': value
    for name, value in {'reliability': 'reliable', 'depth': 100}.items()
}
START = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
path, *arguments = sys.argv[1:]
pairs = [argument.split(':=') for argument in arguments]
service = LaunchService(argv=arguments)
source = PythonLaunchDescriptionSource(path)
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=pairs)])
)
sys.exit(service.run())
"""


def test_it_gives_options_that_the_command_has():
    text = LAUNCH_FILE.read_text()
    listed = re.search(r'for name in \(([^)]*)\)', text)[1]
    given = {*re.findall(r"'--(\w+)'", text), *re.findall(r"'(\w+)'", listed)}
    assert given == {'out', 'bundle', 'rate', 'player', 'params', 'node', 'calibration'}
    command = [sys.executable, '-m', 'mle_sam_ros.cli', 'live-replay', '--help']
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert given <= set(re.findall(r'--([\w-]+)', told))


def test_it_gives_arguments_that_the_node_has():
    perception = (ROOT / 'launch/perception.launch.py').read_text()
    declared = names_in(re.search(r'^ARGUMENTS = {(.*?)^}', perception, re.S | re.M)[1])
    block = re.search(r'launch_arguments={(.*?)}\.items', LAUNCH_FILE.read_text(), re.S)[1]
    assert names_in(block) <= declared | {'lifecycle'}
    assert "'manager': " in perception


def names_in(block):
    return set(re.findall(r"^ +'(\w+)':", block, re.M))


@pytest.fixture
def environment(tmp_path):
    """An installed package, as colcon leaves it, of links to this one."""
    pytest.importorskip('rclpy')
    pytest.importorskip('launch_ros')
    from mle_sam_ros.ros.environment import free_domain_id, private_environment

    prefix = tmp_path / 'install'
    share, programs = prefix / 'share/mle_sam_ros', prefix / 'lib/mle_sam_ros'
    marker = prefix / 'share/ament_index/resource_index/packages/mle_sam_ros'
    for folder in (share, programs, marker.parent):
        folder.mkdir(parents=True)
    marker.touch()
    for name in ('launch', 'config', 'engines'):
        (share / name).symlink_to(ROOT / name)
    for name, module in (('perception_node', 'ros.node'), ('mle-sam', 'cli')):
        program = f'from mle_sam_ros.{module} import main\nimport sys\nsys.exit(main())\n'
        (programs / name).write_text(f'#!{sys.executable}\n{program}')
        (programs / name).chmod(0o755)
    private = private_environment(free_domain_id())
    return {**private, 'AMENT_PREFIX_PATH': str(prefix), 'ROS_LOG_DIR': str(tmp_path / 'log')}


@pytest.fixture(scope='module')
def cloud_drive(tmp_path_factory):
    return write_cloud_drive(tmp_path_factory.mktemp('drive') / 'drive.mcap')


def start(environment, **arguments):
    given = [f'{name}:={value}' for name, value in arguments.items()]
    return subprocess.Popen(
        [sys.executable, '-c', START, str(LAUNCH_FILE), *given],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.ros
def test_plays_records_and_scores(environment, cloud_drive, tmp_path):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    out, params_file = tmp_path / 'out', tmp_path / 'params.yaml'
    params_file.write_text(yaml.safe_dump({'/**': {'ros__parameters': EVERY_FRAME}}))
    launched = start(
        environment, bag=cloud_drive, out=out, bundle=bundle, rate='0.5', params_file=params_file
    )
    told, _ = launched.communicate(timeout=180)
    assert launched.returncode == 0, told
    assert '30 of 30 camera' in told
    assert (out / 'report.html').exists()
    assert (out / 'node.mcap').exists()


@pytest.mark.ros
def test_a_bag_that_cannot_be_read_is_a_failure(environment, tmp_path):
    drive = tmp_path / 'drive.mcap'
    drive.write_bytes(b'no bag')
    launched = start(environment, bag=drive, out=tmp_path / 'out')
    told, _ = launched.communicate(timeout=120)
    assert launched.returncode == 1, told
    assert f'mle-sam: {drive}: expected' in told
    assert not (tmp_path / 'out').exists()


@pytest.mark.ros
def test_an_interruption_ends_everything(environment, cloud_drive, tmp_path):
    bundle = write_tiny_bundle(tmp_path / 'tiny').directory
    out = tmp_path / 'out'
    launched = start(environment, bag=cloud_drive, out=out, bundle=bundle, rate='0.05')
    told = []
    for line in launched.stdout:
        told.append(line)
        if 'playing' in line:
            break
    time.sleep(2)
    os.killpg(launched.pid, signal.SIGINT)
    rest, _ = launched.communicate(timeout=60)
    assert launched.returncode == 1, [*told, rest]
    assert 'interrupted; nothing half-written is left' in rest
    assert not [path.name for path in tmp_path.iterdir() if 'out' in path.name]
    with pytest.raises(ProcessLookupError):
        os.killpg(launched.pid, 0)
