"""The environment of ROS processes that this package starts itself."""

import os
from pathlib import Path
import socket
import sys

# RTPS: multicast port 7400 + 250 per domain, unicast ports from 7410, two for each participant;
# above domain 101 they meet the ephemeral ports of Linux.
_DOMAINS = range(1, 102)
# The first participant may have left, and multicast be off: so many more are looked for.
_NUM_PARTICIPANTS = 16


def share_path(name: str) -> Path:
    """A file or directory that the package ships: in the checkout, or where it was installed."""
    checkout = Path(__file__).parents[2] / name
    if checkout.exists():
        return checkout
    # Of a ROS workspace, as AMENT_PREFIX_PATH names it, or of the Python environment.
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    places = [Path(prefix) / 'share' / 'mle_sam_ros' / name for prefix in prefixes if prefix]
    return next((place for place in places if place.exists()), places[-1])


def private_environment(domain_id: int) -> dict[str, str]:
    """This process's environment, with ROS traffic kept on this machine and large messages safe.

    Args:
        domain_id: ROS domain of the processes that belong together; see `free_domain_id`.
    """
    profile = str(share_path('config/fastdds.xml'))
    return {
        **os.environ,
        'ROS_DOMAIN_ID': str(domain_id),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
        'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
        'FASTRTPS_DEFAULT_PROFILES_FILE': profile,  # Fast DDS 2: Humble, Jazzy
        'FASTDDS_DEFAULT_PROFILES_FILE': profile,  # Fast DDS 3: Kilted and later
        'PYTHONUNBUFFERED': '1',
    }


def free_domain_id() -> int:
    """A ROS domain that nobody on this machine uses now, judged by its discovery ports."""
    start = os.getpid() % len(_DOMAINS)
    for step in range(len(_DOMAINS)):
        domain_id = _DOMAINS[(start + step) % len(_DOMAINS)]
        if all(_is_free(port) for port in _discovery_ports(domain_id)):
            return domain_id
    return _DOMAINS[start]


def _discovery_ports(domain_id: int) -> list[int]:
    multicast = 7400 + 250 * domain_id
    return [multicast, *(multicast + 10 + 2 * index for index in range(_NUM_PARTICIPANTS))]


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True
