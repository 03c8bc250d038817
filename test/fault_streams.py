"""Arrivals of a drive for tests of faults, and what faults make of them."""

from bundles import manifest_mapping
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.arrived import Arrived
from mle_sam_ros.core.manifest import parse_manifest
from mle_sam_ros.replay.faults.injection import Injection
from mle_sam_ros.replay.faults.parse import parse_fault
import numpy as np
from tiny_drive import burst, MS, SIZE_HW, START, sweep

ENCODINGS = {
    modality.name: modality.encoding
    for modality in parse_manifest({**manifest_mapping(), 'files': {}}, 'test').modalities
}


def injection(*texts, seed=0, start_ns=START):
    return Injection([parse_fault(text) for text in texts], seed, start_ns, ENCODINGS)


def inject(arrivals, *texts, seed=0):
    """What arrives, as a list."""
    return list(injection(*texts, seed=seed).arrivals(iter(arrivals)))


def drive(num=10, period_ns=100 * MS):
    """Images, sweeps and packets of events in turn, each stream at one rate, 10 ms late."""
    random = np.random.default_rng(1)
    arrivals = []
    for index in range(num):
        stamp = START + index * period_ns
        log_ns = stamp + 10 * MS
        arrivals += [
            Arrived(log_ns, 'camera', image(random, stamp)),
            Arrived(log_ns + MS, 'lidar', messages.point_cloud(sweep(random), stamp, 'lidar')),
            Arrived(log_ns + 2 * MS, 'event', packet(random, stamp, index)),
        ]
    return arrivals


def image(random, stamp):
    pixels = random.integers(0, 256, (*SIZE_HW, 3), np.uint8)
    return messages.image(pixels, 'rgb8', stamp, 'camera')


def packet(random, stamp, number=0):
    return messages.event_packet(burst(random, stamp - 10 * MS), SIZE_HW, stamp, 'event', number)


def of(arrivals, stream):
    return [item for item in arrivals if item.stream == stream]


def contents(arrivals):
    """Comparable: times, streams and every byte of the messages."""
    return [(item.time_ns, item.stream, _plain(item.message)) for item in arrivals]


def _plain(value):
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if hasattr(value, '__dataclass_fields__'):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value
