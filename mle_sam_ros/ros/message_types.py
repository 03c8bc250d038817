"""Message classes by name, where their packages are installed."""

from importlib import import_module
from typing import Any

from mle_sam_ros.core.errors import InputError


def message_class(name: str) -> type[Any]:
    """The Python class of `package/msg/Type`.

    Raises:
        InputError: where the package is not installed, or has no such message.
    """
    package, _, kind = name.partition('/msg/')
    try:
        return getattr(import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError):
        raise InputError(
            f'{name}: expected an installed message type, got none; install the ROS package '
            f'{package} (apt: ros-$ROS_DISTRO-{package.replace("_", "-")})'
        ) from None
