"""Moments of a recording: a camera image, and the sweep and the events of the same instant."""

from dataclasses import dataclass

from mle_sam_ros.bags.describe import Topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.cloud import decode_cloud, PointCloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.image import decode_image
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np
from tqdm import tqdm

_MILLISECOND = 1_000_000
_SWEEP_MIDDLE_NS = 50 * _MILLISECOND  # of a LiDAR at 10 Hz that stamps the start
_MAX_DISTANCE_NS = 60 * _MILLISECOND
# Events to either side of the instant: what moves in so short a time is less than a pixel.
_EVENT_REACH_NS = 10 * _MILLISECOND


@dataclass(eq=False)
class Moment:
    """What the sensors saw at one instant.

    Attributes:
        stamp_ns: of the camera image.
        image: (H, W, 3) uint8.
        cloud: the sweep whose middle is nearest; None where there is none near.
        events: of the milliseconds around; None where the recording has no event camera.
    """

    stamp_ns: int
    image: np.ndarray
    cloud: PointCloud | None = None
    events: Events | None = None


def read_moments(bag: BagReader, topics: Topics, num_moments: int) -> list[Moment]:
    """Pick moments spread over a recording, each where image and sweep are close in time.

    Args:
        bag: the recording.
        topics: its streams.
        num_moments: how many, where there are so many images.

    Raises:
        InputError: for messages that cannot be decoded, or a recording without images.
    """
    sweep_of = _choose(bag, topics, num_moments)
    moments: dict[int, Moment] = {}
    clouds: dict[int, PointCloud] = {}
    around: dict[int, list[Events]] = {stamp: [] for stamp in sweep_of}
    decoder = EventDecoder()
    wanted = set(sweep_of.values())
    chosen = [topic for topic in (topics.camera, topics.lidar, topics.event) if topic]
    for item in tqdm(bag.messages(chosen), desc='moments', unit=' messages', disable=None):
        if item.topic == topics.event:
            events = decoder.decode(item.message, item.topic)
            for stamp, parts in around.items():
                part = events.window(stamp - _EVENT_REACH_NS, stamp + _EVENT_REACH_NS)
                if len(part):
                    parts.append(part)
            continue
        stamp = stamp_ns(item.message.header)
        if item.topic == topics.camera and stamp in sweep_of and stamp not in moments:
            moments[stamp] = Moment(stamp, decode_image(item.message, item.topic))
        elif item.topic == topics.lidar and stamp in wanted:
            clouds[stamp] = decode_cloud(item.message, item.topic)
    for stamp, moment in moments.items():
        sweep_stamp = sweep_of[stamp]
        moment.cloud = None if sweep_stamp is None else clouds.get(sweep_stamp)
        moment.events = Events.concatenate(around[stamp]) if topics.event else None
    return [moments[stamp] for stamp in sorted(moments)]


def _choose(bag: BagReader, topics: Topics, num_moments: int) -> dict[int, int | None]:
    """Stamps of images to the stamps of their sweeps."""
    images = _stamps(bag, topics.camera)
    if not len(images):
        raise InputError(
            f'{bag.path}: expected images on {topics.camera}, got none; record the camera'
        )
    sweeps = _stamps(bag, topics.lidar)
    parts = np.array_split(np.arange(len(images)), min(num_moments, len(images)))
    if not len(sweeps):
        return {int(images[part[len(part) // 2]]): None for part in parts}
    middles = sweeps + _SWEEP_MIDDLE_NS
    after = np.clip(np.searchsorted(middles, images), 1, max(len(middles) - 1, 1))
    candidates = np.stack([after - 1, np.minimum(after, len(middles) - 1)])
    distances = np.abs(middles[candidates] - images)
    nearest = candidates[distances.argmin(axis=0), np.arange(len(images))]
    distance = distances.min(axis=0)
    chosen: dict[int, int | None] = {}
    for part in parts:
        best = part[distance[part].argmin()]
        is_near = distance[best] <= _MAX_DISTANCE_NS
        chosen[int(images[best])] = int(sweeps[nearest[best]]) if is_near else None
    return chosen


def _stamps(bag: BagReader, topic: str | None) -> np.ndarray:
    """(N,) int64, rising."""
    arrivals = bag.arrivals([topic]) if topic else ()
    return np.unique([item.stamp_ns for item in arrivals if item.stamp_ns is not None]).astype(
        np.int64
    )
