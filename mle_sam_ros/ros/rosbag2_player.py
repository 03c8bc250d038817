"""Plays a recording with `ros2 bag play`, where rosbag2 is installed."""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import signal
import subprocess
import tempfile
import time

from ament_index_python import has_resource
from mle_sam_ros.core.errors import InputError
import rclpy
from rclpy.context import Context
import yaml

_RELIABLE = {'history': 'keep_last', 'depth': 20, 'reliability': 'reliable'}
_QOS = {**_RELIABLE, 'durability': 'volatile'}
_LATCHED_QOS = {**_RELIABLE, 'depth': 100, 'durability': 'transient_local'}
# Ticks of /clock per second: rosbag2 gives messages no tick of their own beside these.
_CLOCK_HZ = 200
_ACKNOWLEDGED_MS = 10_000
# A participant that missed the first announcements of another hears the next one 3 s later.
_DISCOVERY_S = 3.5
_RESUME = ('/rosbag2_player/resume', 'rosbag2_interfaces/srv/Resume')


def has_rosbag2() -> bool:
    """Whether `ros2 bag` is installed."""
    if not os.environ.get('AMENT_PREFIX_PATH'):
        return False
    return bool(has_resource('packages', 'ros2bag'))


def play_with_rosbag2(
    bag_path: str,
    *,
    topics: Sequence[str],
    remap: Mapping[str, str],
    rate: float = 1.0,
    wait_s: float = 30.0,
) -> None:
    """Publish topics of a recording, and `/clock`.

    The player starts paused and goes on when its publishers are known, so that no message is lost
    to discovery. Publishers are reliable, whatever those of the recording were.

    Args:
        bag_path: what rosbag2 can read.
        topics: what to publish, by the bag's names.
        remap: the bag's topic to the name to publish it under.
        rate: 2.0 plays twice as fast.
        wait_s: how long the publishers may take to come up.

    Raises:
        InputError: where the player cannot be started, or ends with an error.
    """
    with tempfile.TemporaryDirectory(prefix='mle-sam-play-') as room:
        qos_path = Path(room) / 'qos.yaml'
        profiles = {t: _LATCHED_QOS if t == '/tf_static' else _QOS for t in topics}
        qos_path.write_text(yaml.safe_dump(profiles))
        command = rosbag2_command(bag_path, topics, remap, rate, qos_path)
        player = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            _wait_for_publishers(player, [remap.get(topic, topic) for topic in topics], wait_s)
            _run(['ros2', 'service', 'call', *_RESUME], wait_s)
            code = player.wait()
        finally:
            _end(player)
        if code:
            raise InputError(
                f'{bag_path}: expected ros2 bag play to end with 0, got {code}; see its output, '
                'or use the player of this package (--player mle_sam)'
            )


def rosbag2_command(
    bag_path: str,
    topics: Sequence[str],
    remap: Mapping[str, str],
    rate: float,
    qos_path: Path,
) -> list[str]:
    """The command line of Humble, Jazzy and Kilted."""
    command = ['ros2', 'bag', 'play', bag_path, '--start-paused', '--disable-keyboard-controls']
    command += ['--clock', str(_CLOCK_HZ), '--rate', str(rate)]
    command += ['--wait-for-all-acked', str(_ACKNOWLEDGED_MS)]
    command += ['--qos-profile-overrides-path', str(qos_path)]
    command += ['--topics', *topics]
    rules = [f'{source}:={target}' for source, target in remap.items() if source != target]
    return [*command, '--remap', *rules] if rules else command


def _wait_for_publishers(
    player: subprocess.Popen[bytes], topics: Sequence[str], wait_s: float
) -> None:
    context = Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('player_watch', context=context)
        deadline_s = time.monotonic() + wait_s
        while missing := [topic for topic in topics if not node.count_publishers(topic)]:
            if player.poll() is not None or time.monotonic() > deadline_s:
                raise InputError(
                    f'ros2 bag play: expected it to publish {", ".join(topics)} within '
                    f'{wait_s:g} s, got nothing on {", ".join(missing)}; see its output'
                )
            time.sleep(0.1)
        time.sleep(_DISCOVERY_S)  # for those who listen to find them, too
    finally:
        rclpy.shutdown(context=context)


def _run(command: Sequence[str], timeout_s: float) -> None:
    try:
        subprocess.run(command, timeout=timeout_s, check=True, stdout=subprocess.DEVNULL)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise InputError(
            f'ros2 bag play: expected it to go on when asked to ({" ".join(command)}), got '
            f'{error}; use the player of this package (--player mle_sam)'
        ) from None


def _end(player: subprocess.Popen[bytes]) -> None:
    if player.poll() is None:
        player.send_signal(signal.SIGINT)
    try:
        player.wait(5)
    except subprocess.TimeoutExpired:
        player.kill()
        player.wait()
