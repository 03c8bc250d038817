"""Starts the perception node: `ros2 launch mle_sam_ros perception.launch.py --show-args`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessStart
from launch.events import matches_action, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from launch import LaunchDescription

SHARE = Path(get_package_share_directory('mle_sam_ros'))
ARGUMENTS = {
    'bundle': (SHARE / 'engines' / 'nano', 'directory of the exported model'),
    'calibration': ('', 'calibration file; empty for CameraInfo and /tf_static'),
    'params_file': (SHARE / 'config' / 'perception.yaml', 'parameters of the node'),
    'namespace': ('mle_sam', 'of the node and its outputs'),
    'use_sim_time': ('false', 'take the time from /clock'),
    'rviz': ('false', 'show camera, overlay and mask'),
    'fastdds_profile': (SHARE / 'config' / 'fastdds.xml', 'middleware settings'),
}
# Launch argument to the node's topic; its default is the name in recordings.
TOPICS = {
    'image': ('camera/image', '/camera/image'),
    'image_compressed': ('camera/image/compressed', '/camera/image/compressed'),
    'camera_info': ('camera/camera_info', '/camera/camera_info'),
    'points': ('lidar/points', '/lidar/points'),
    'points_2': ('lidar_2/points', '/lidar_2/points'),
    'events': ('events', '/event_camera/events'),
    'events_camera_info': ('events/camera_info', '/event_camera/camera_info'),
    'depth': ('depth/image', '/depth/image'),
    'odometry': ('odometry', '/odometry'),
    'twist': ('twist', '/twist'),
}
# Who takes the node through its states.
LIFECYCLES = {
    'node': 'the node itself, at once; if that fails it stays, and /diagnostics says why',
    'launch': 'this file, which ends if that fails',
    'manager': 'somebody else, such as nav2_lifecycle_manager',
}


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument(name, default_value=str(default), description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=f'topic for {topic}')
        for name, (topic, default) in TOPICS.items()
    ]
    arguments.append(
        DeclareLaunchArgument(
            'lifecycle',
            default_value='node',
            choices=list(LIFECYCLES),
            description='; '.join(f'{name}: {text}' for name, text in LIFECYCLES.items()),
        )
    )
    profile = LaunchConfiguration('fastdds_profile')
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', str(SHARE / 'config' / 'perception.rviz')],
        parameters=[{'use_sim_time': LaunchConfiguration('use_sim_time')}],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return LaunchDescription(
        [
            *arguments,
            SetEnvironmentVariable('FASTRTPS_DEFAULT_PROFILES_FILE', profile),
            SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', profile),
            OpaqueFunction(function=perception),
            rviz,
        ]
    )


def perception(context):
    """The node, and the handlers that take it through its states if `lifecycle` says launch."""
    lifecycle = LaunchConfiguration('lifecycle').perform(context)
    node = LifecycleNode(
        package='mle_sam_ros',
        executable='perception_node',
        name='perception',
        namespace=LaunchConfiguration('namespace'),
        output='screen',
        parameters=[
            LaunchConfiguration('params_file'),
            {
                'bundle': LaunchConfiguration('bundle'),
                'calibration_file': LaunchConfiguration('calibration'),
                'use_sim_time': LaunchConfiguration('use_sim_time'),
                'autostart': lifecycle == 'node',
            },
        ],
        remappings=[(topic, LaunchConfiguration(name)) for name, (topic, _) in TOPICS.items()],
    )
    return [*(transitions(node) if lifecycle == 'launch' else []), node]


def transitions(node):
    """Configure once the process runs, activate once that is done, end where either fails."""

    def to(transition):
        return EmitEvent(
            event=ChangeState(
                lifecycle_node_matcher=matches_action(node), transition_id=transition
            )
        )

    def on(start, goal, *actions):
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                start_state=start,
                goal_state=goal,
                entities=list(actions),
            )
        )

    def give_up(what):
        reason = f'the perception node could not be {what}: see its last error'
        return LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))

    return [
        RegisterEventHandler(
            OnProcessStart(target_action=node, on_start=[to(Transition.TRANSITION_CONFIGURE)])
        ),
        on('configuring', 'inactive', to(Transition.TRANSITION_ACTIVATE)),
        on('configuring', 'unconfigured', *give_up('configured')),
        on('activating', 'inactive', *give_up('activated')),
        on('errorprocessing', 'unconfigured', *give_up('run')),
    ]
