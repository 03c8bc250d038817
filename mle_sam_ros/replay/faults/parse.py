"""Faults as the command line gives them: STREAM:KIND=VALUE[@FROM-TO]."""

import re

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.replay.faults.arrival import Delay, Drop, Jitter, Rate
from mle_sam_ros.replay.faults.beams import Beams
from mle_sam_ros.replay.faults.burst import Burst
from mle_sam_ros.replay.faults.exposure import Exposure
from mle_sam_ros.replay.faults.fault import ALWAYS, Fault, Window
from mle_sam_ros.replay.faults.freeze import Freeze
from mle_sam_ros.replay.faults.mounting import Rotate, Shift
from mle_sam_ros.replay.faults.noise import Noise
from mle_sam_ros.replay.faults.stamps import Stamp

KINDS: dict[str, type[Fault]] = {
    kind.kind: kind
    for kind in (
        Drop, Delay, Jitter, Rate, Freeze, Stamp, Rotate, Shift, Noise, Exposure, Burst, Beams,
    )
}  # fmt: skip
_SECONDS = r'\d+(?:\.\d+)?'
_FAULT = re.compile(
    rf'(?P<stream>\w+):(?P<kind>\w+)=(?P<value>[^@]+)(?:@(?P<from>{_SECONDS})-(?P<to>{_SECONDS}))?',
    re.ASCII,
)


def parse_fault(text: str) -> Fault:
    """Read `lidar:drop=1@4-6`: every message of the LiDAR is lost from second 4 to 6.

    Raises:
        InputError: for another form, or a kind, stream or value that is none; names those that
            there are.
    """
    match = _FAULT.fullmatch(text)
    if match is None:
        raise InputError(
            f'fault: expected STREAM:KIND=VALUE or STREAM:KIND=VALUE@FROM-TO in seconds, got '
            f'{text!r}; write it as in lidar:drop=1@4-6'
        )
    kind = KINDS.get(match['kind'])
    if kind is None:
        raise InputError(
            f'fault: expected one of {", ".join(KINDS)}, got {match["kind"]!r}; choose one'
        )
    window = Window(float(match['from']), float(match['to'])) if match['from'] else ALWAYS
    return kind.parse(match['stream'], match['value'], window)
