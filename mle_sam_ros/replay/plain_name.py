"""Names of metrics as people say them."""

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.faults.parse import parse_fault


def plain_name(name: str) -> str:
    """A class, condition or failure without underscores; an injected fault in words.

    `over_exposure` is `over exposure`, and `lidar:drop=1` is `all lidar messages lost`.
    """
    if ':' in name:
        try:
            return parse_fault(name).words
        except InputError:
            pass  # a condition that somebody named
    return name.replace('_', ' ')
