"""ROS stamps as integer nanoseconds."""

from typing import Any


def stamp_ns(header: Any) -> int:
    """Nanoseconds of a `std_msgs/Header`'s stamp."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec
