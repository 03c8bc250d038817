"""Starts the perception node: `ros2 launch mle_sam_ros perception.launch.py --show-args`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

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
    'camera_info': ('camera/camera_info', '/camera/camera_info'),
    'points': ('lidar/points', '/lidar/points'),
    'events': ('events', '/event_camera/events'),
    'events_camera_info': ('events/camera_info', '/event_camera/camera_info'),
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
    profile = LaunchConfiguration('fastdds_profile')
    use_sim_time = LaunchConfiguration('use_sim_time')
    node = Node(
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
                'use_sim_time': use_sim_time,
            },
        ],
        remappings=[(topic, LaunchConfiguration(name)) for name, (topic, _) in TOPICS.items()],
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        arguments=['-d', str(SHARE / 'config' / 'perception.rviz')],
        parameters=[{'use_sim_time': use_sim_time}],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    return LaunchDescription(
        [
            *arguments,
            SetEnvironmentVariable('FASTRTPS_DEFAULT_PROFILES_FILE', profile),
            SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', profile),
            node,
            rviz,
        ]
    )
