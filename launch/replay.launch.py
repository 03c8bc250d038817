"""Plays a recorded drive to the perception node, and scores what it publishes.

`ros2 launch mle_sam_ros replay.launch.py bag:=drive.mcap out:=out/live`; see --show-args.
"""

from pathlib import Path
import shlex

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import ExecutableInPackage

from launch import LaunchDescription

SHARE = Path(get_package_share_directory('mle_sam_ros'))
REQUIRED = {
    'bag': 'the drive: .mcap, .db3 or .bag file, or rosbag2 directory',
    'out': 'directory to write',
}
ARGUMENTS = {
    'bundle': (SHARE / 'engines' / 'nano', 'directory of the exported model'),
    'calibration': ('', 'calibration file; empty for that of the recording'),
    'params_file': (SHARE / 'config' / 'perception.yaml', 'parameters of the node'),
    'rate': ('1.0', '0.5 plays half as fast, for a slow machine'),
    'player': ('auto', 'rosbag2, mle_sam, or auto: ros2 bag play where it is installed'),
    'rviz': ('false', 'show camera, overlay and mask'),
    'arguments': ('', 'further arguments of mle-sam live-replay, such as "--subsets all"'),
}


def generate_launch_description():
    arguments = [DeclareLaunchArgument(name, description=text) for name, text in REQUIRED.items()]
    arguments += [
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(SHARE / 'launch' / 'perception.launch.py')),
        launch_arguments={
            'bundle': LaunchConfiguration('bundle'),
            'params_file': LaunchConfiguration('params_file'),
            'rviz': LaunchConfiguration('rviz'),
            'namespace': 'mle_sam',
            'use_sim_time': 'true',
            'lifecycle': 'manager',  # which is the replay: it knows what the recording holds
        }.items(),
    )
    return LaunchDescription([*arguments, node, OpaqueFunction(function=replay)])


def replay(context):
    """The process that plays, records and scores; when it ends, everything does."""

    def value(name):
        return LaunchConfiguration(name).perform(context)

    command = [ExecutableInPackage('mle-sam', 'mle_sam_ros'), 'live-replay', value('bag')]
    for name in ('out', 'bundle', 'rate', 'player'):
        command += [f'--{name}', value(name)]
    command += ['--params', value('params_file'), '--node', 'running']
    if value('calibration'):
        command += ['--calibration', value('calibration')]
    process = ExecuteProcess(
        cmd=[*command, *shlex.split(value('arguments'))], name='replay', output='screen'
    )
    ends = OnProcessExit(target_action=process, on_exit=finish)
    dies = OnProcessExit(
        target_action=lambda action: isinstance(action, LifecycleNode), on_exit=give_up
    )
    return [RegisterEventHandler(ends), RegisterEventHandler(dies), process]


def finish(event, context):
    """End the node; an exception is the only way to give `ros2 launch` an exit code."""
    if event.returncode:
        raise RuntimeError(f'the replay ended with exit code {event.returncode}: see above')
    return EmitEvent(event=Shutdown(reason='the drive is replayed and scored'))


def give_up(event, context):
    """A node that ends by itself ends the replay."""
    if not context.is_shutdown:
        raise RuntimeError(f'the node ended with exit code {event.returncode}: see above')
