"""What is in a recording, and whether a model can run on it."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.calibration import calibration_of
from mle_sam_ros.bags.describe import aligned_streams, find_topics, Survey, survey_topics
from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.bags.timing import Timing, TimingTally
from mle_sam_ros.core.calibration import Calibration
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.image import check_image
from mle_sam_ros.core.manifest import Manifest
from mle_sam_ros.core.projection import Projection
import numpy as np
from tqdm import tqdm

_IMAGE = 'sensor_msgs/msg/Image'
_COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_CLOUD = 'sensor_msgs/msg/PointCloud2'
_EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
_TRANSFORMS = 'tf2_msgs/msg/TFMessage'
# Moving transforms repeat; this many messages show all frames.
_MAX_TRANSFORM_MESSAGES = 500


@dataclass(frozen=True)
class TopicInfo:
    """One topic.

    Attributes:
        topic: its name.
        type: of its messages.
        stream: what the pipeline would use it for; None for nothing.
        frame_id: of the first message; None where its type has none.
        content: what the first message holds, in words; None where nobody asked.
        problem: why the first message cannot be used; None if it can.
        timing: of all messages.
    """

    topic: str
    type: str
    stream: str | None
    frame_id: str | None
    content: str | None
    problem: str | None
    timing: Timing


@dataclass(frozen=True)
class SensorFit:
    """Whether a modality of a model can take part.

    Attributes:
        modality: its name.
        topic: of the recording; None where it has none.
        problem: why it stays absent, and the remedy; None if it takes part.
    """

    modality: str
    topic: str | None
    problem: str | None


@dataclass(frozen=True)
class RecordingInfo:
    """A recording.

    Attributes:
        path: as given.
        num_bytes: on disk.
        start_ns: log time of the first message; None without messages.
        duration_s: between the first and the last log time.
        messages: on all topics.
        custom_data: what whoever recorded it noted.
        topics: by name.
        transforms: parent frame to child frames, of all static transforms.
        moving_transforms: the same, of /tf.
        calibration: what the pipeline needs to know of the rig to where it is missing, in words;
            None where the recording has it.
        questions: what somebody must say before the recording can be used.
        model: name of the model that was asked about; None without one.
        fit: of each modality of the model, in its order.
    """

    path: str
    num_bytes: int
    start_ns: int | None
    duration_s: float
    messages: int
    custom_data: Mapping[str, str]
    topics: tuple[TopicInfo, ...]
    transforms: Mapping[str, tuple[str, ...]]
    moving_transforms: Mapping[str, tuple[str, ...]]
    calibration: Mapping[str, str | None]
    questions: tuple[str, ...]
    model: str | None
    fit: tuple[SensorFit, ...]

    @property
    def usable(self) -> tuple[str, ...]:
        """The modalities that can take part."""
        return tuple(item.modality for item in self.fit if item.problem is None)


def recording_info(
    bag: BagReader,
    chosen: Mapping[str, str] | None = None,
    manifest: Manifest | None = None,
    calibration: Calibration | None = None,
) -> RecordingInfo:
    """Read a recording from end to end.

    Args:
        bag: the recording.
        chosen: stream to topic, as for `find_topics`.
        manifest: of the model to ask about.
        calibration: from a file; None takes what the recording has.

    Raises:
        InputError: for a damaged recording, or a wrong choice. What merely cannot be used is told
            in the result.
    """
    aligned = aligned_streams(manifest) if manifest else ()
    survey = survey_topics(bag, chosen, aligned)
    tallies, start_ns, end_ns = _tallies(bag)
    stream_of = {topic: stream for stream, topic in survey.topic_of.items() if topic}
    topics = tuple(
        _topic_info(bag, topic, stream_of.get(topic), tally.timing())
        for topic, tally in sorted(tallies.items())
    )
    rig, problem = (
        (calibration, None) if calibration else _calibration(bag, chosen, aligned, survey)
    )
    transforms = _transforms(bag, is_static=True)
    moving_transforms = _transforms(bag, is_static=False)
    rig = _with_moving(rig, topics, [transforms, moving_transforms])
    return RecordingInfo(
        path=str(bag.path),
        num_bytes=_num_bytes(bag.path),
        start_ns=start_ns,
        duration_s=(end_ns - start_ns) / 1e9 if start_ns is not None else 0.0,
        messages=sum(info.timing.messages for info in topics),
        custom_data=dict(bag.custom_data),
        topics=topics,
        transforms=transforms,
        moving_transforms=moving_transforms,
        calibration=_missing(survey, rig, problem),
        questions=survey.questions,
        model=manifest.model if manifest else None,
        fit=tuple(_fit(manifest, survey, topics, rig, problem)) if manifest else (),
    )


def _tallies(bag: BagReader) -> tuple[dict[str, TimingTally], int | None, int]:
    tallies = {topic: TimingTally() for topic in bag.topics}
    start_ns, end_ns = None, 0
    with tqdm(total=bag.num_messages, desc='info', unit=' messages', disable=None) as progress:
        for arrival in bag.arrivals():
            tallies[arrival.topic].add(arrival)
            start_ns = arrival.log_time_ns if start_ns is None else start_ns
            end_ns = arrival.log_time_ns
            progress.update()
    return tallies, start_ns, end_ns


def _num_bytes(path: Path) -> int:
    files = [item for item in path.iterdir() if item.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _topic_info(bag: BagReader, topic: str, stream: str | None, timing: Timing) -> TopicInfo:
    kind = bag.topics[topic]
    frame_id = content = problem = None
    if kind in _DESCRIPTIONS and timing.messages:
        try:
            (item,) = islice(bag.messages([topic]), 1)
            frame_id = getattr(getattr(item.message, 'header', None), 'frame_id', None)
            content = _DESCRIPTIONS[kind](item.message)
            if stream is not None:
                _check(stream, kind, item.message, topic)
        except InputError as error:
            problem = str(error)
    return TopicInfo(topic, kind, stream, frame_id, content, problem, timing)


def _check(stream: str, kind: str, message: Any, topic: str) -> None:
    """What the pipeline would refuse of a message by itself."""
    if kind in (_IMAGE, _COMPRESSED_IMAGE):
        check_image(message, topic)
    elif stream == 'lidar':
        decode_cloud(message, topic)
    elif stream == 'event':
        EventDecoder().decode(message, topic)


def _image_content(message: Any) -> str:
    return f'{message.width} x {message.height} {message.encoding}'


def _compressed_content(message: Any) -> str:
    return f'{message.format}, {len(message.data)} bytes'


def _camera_info_content(message: Any) -> str:
    model = message.distortion_model or 'no distortion model'
    return f'{message.width} x {message.height} {model}, fx {message.k[0]:.1f}'


def _cloud_content(message: Any) -> str:
    fields = ' '.join(field.name for field in message.fields)
    return f'{message.width * message.height} points: {fields}'


def _events_content(message: Any) -> str:
    return f'{message.width} x {message.height} {message.encoding}'


_DESCRIPTIONS = {
    _IMAGE: _image_content,
    _COMPRESSED_IMAGE: _compressed_content,
    _CAMERA_INFO: _camera_info_content,
    _CLOUD: _cloud_content,
    _EVENT_PACKET: _events_content,
}


def _transforms(bag: BagReader, is_static: bool) -> dict[str, tuple[str, ...]]:
    children: dict[str, set[str]] = {}
    for topic, kind in bag.topics.items():
        if kind == _TRANSFORMS and topic.endswith('/tf_static') == is_static:
            for item in islice(bag.messages([topic]), _MAX_TRANSFORM_MESSAGES):
                for link in item.message.transforms:
                    children.setdefault(link.header.frame_id, set()).add(link.child_frame_id)
    return {parent: tuple(sorted(names)) for parent, names in sorted(children.items())}


def _calibration(
    bag: BagReader,
    chosen: Mapping[str, str] | None,
    aligned: Collection[str],
    survey: Survey,
) -> tuple[Calibration, str | None]:
    """What the recording says of the rig, and what is wrong with it."""
    if survey.questions:
        return Calibration(), 'not looked for while a question is open'
    try:
        return calibration_of(bag, find_topics(bag, chosen, aligned)), None
    except InputError as error:
        return Calibration(), str(error)


def _with_moving(
    rig: Calibration,
    topics: Sequence[TopicInfo],
    transforms: Sequence[Mapping[str, tuple[str, ...]]],
) -> Calibration:
    """The same with sensors on moving mounts, somewhere: where is told while a drive goes by."""
    frame_of = {item.stream: item.frame_id for item in topics if item.frame_id}
    reached = {frame_of.get('camera')} - {None}
    links = [
        {parent, child}
        for part in transforms for parent, children in part.items() for child in children
    ]  # fmt: skip
    while more := [link for link in links if len(link & reached) == 1]:
        reached.update(*more)
    moving = {
        name: np.eye(4)
        for name in ('event', 'lidar')
        if name not in rig.camera_from and frame_of.get(name) in reached
    }
    return replace(rig, camera_from=rig.camera_from | moving)


def _missing(survey: Survey, rig: Calibration, problem: str | None) -> dict[str, str | None]:
    """By what the sensors of the recording need: in words what is missing, or None."""
    needs = {}
    for name, info in (('camera', 'camera_info'), ('event', 'event_camera_info')):
        if survey.topic_of[name] is not None:
            has = name in rig.cameras
            topic = survey.topic_of[info]
            lack = f'{topic} cannot be used' if topic else 'no CameraInfo beside its topic'
            needs[f'intrinsics of {name}'] = None if has else problem or lack
    for name in ('event', 'lidar'):
        if survey.topic_of[name] is not None:
            lack = 'no transform between its frame and that of the camera'
            needs[f'camera_from.{name}'] = None if name in rig.camera_from else problem or lack
    return needs


def _fit(
    manifest: Manifest,
    survey: Survey,
    topics: tuple[TopicInfo, ...],
    rig: Calibration,
    problem: str | None,
) -> Iterator[SensorFit]:
    projection = Projection(manifest, rig)
    info_of = {info.stream: info for info in topics if info.stream}
    for name in manifest.modality_names:
        info, topic = info_of.get(name), survey.topic_of.get(name)
        question = next((text for text in survey.questions if f' for {name},' in text), None)
        if question is not None:
            yield SensorFit(name, None, question)
        elif info is None or not info.timing.messages:
            yield SensorFit(
                name, topic, 'the recording has none, or under a name that does not tell; '
                f'replay runs without it, or choose it with --topic {name}=…'
            )  # fmt: skip
        else:
            lack = projection.missing(name)
            yield SensorFit(name, topic, info.problem or (problem if lack and problem else lack))
