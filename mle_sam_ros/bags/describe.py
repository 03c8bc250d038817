"""Which topics of a recording are which stream."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
import re

from mle_sam_ros.bags.reader import BagReader
from mle_sam_ros.core.errors import InputError
from mle_sam_ros.core.manifest import AlignedImageEncoding, DepthHhaEncoding, Manifest

_IMAGE = 'sensor_msgs/msg/Image'
_COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
_CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
_CLOUD = 'sensor_msgs/msg/PointCloud2'
_EVENT_PACKET = 'event_camera_msgs/msg/EventPacket'
_TRANSFORMS = 'tf2_msgs/msg/TFMessage'
_TWISTS = (
    'geometry_msgs/msg/TwistStamped',
    'geometry_msgs/msg/TwistWithCovarianceStamped',
)

_TYPES = {
    'camera': (_IMAGE, _COMPRESSED_IMAGE),
    'camera_info': (_CAMERA_INFO,),
    'event': (_EVENT_PACKET, _CLOUD),
    'event_camera_info': (_CAMERA_INFO,),
    'lidar': (_CLOUD,),
    'labels': (_IMAGE,),
    'tf_static': (_TRANSFORMS,),
    'tf': (_TRANSFORMS,),
    'odometry': ('nav_msgs/msg/Odometry',),
    'twist': _TWISTS,
}
_MORE_LIDARS = re.compile(r'lidar_[2-9]')
# Images that are made from others, and that nobody drives by.
_DERIVED = ('mask', 'overlay', 'confidence', 'depth', 'event', 'lidar', 'debug')
_COMPRESSED = '/compressed'
# What a node of ours had published when somebody recorded everything.
_OWN = '/mle_sam/'


@dataclass(frozen=True)
class Topics:
    """The topic of each stream; None where the recording has none.

    Of what tells the vehicle's motion (tf, odometry, twist) also where it has several. `others`
    are `lidar_2` and so on, which must be chosen, and images that are aligned with the camera's.
    """

    camera: str
    camera_info: str | None
    event: str | None
    event_camera_info: str | None
    lidar: str | None
    labels: str | None
    tf_static: str | None
    tf: str | None = None
    odometry: str | None = None
    twist: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Survey:
    """What can be told of a recording's streams, and what somebody must say.

    Attributes:
        topic_of: stream to topic; None where there is none, or where there are several.
        questions: one line for each stream that has several topics, or none and needs one.
    """

    topic_of: Mapping[str, str | None]
    questions: tuple[str, ...]


def find_topics(
    bag: BagReader, chosen: Mapping[str, str] | None = None, aligned: Collection[str] = ()
) -> Topics:
    """Tell the streams of a recording by the types and names of its topics.

    Args:
        bag: to look at.
        chosen: stream to topic, where the caller knows better than this function.
        aligned: streams of images that are aligned with the camera's; a part of their topics'
            names unless chosen.

    Raises:
        InputError: for a recording without a camera, several topics that would do, or a chosen
            topic that is missing or has another type.
    """
    survey = survey_topics(bag, chosen, aligned)
    topic_of = dict(survey.topic_of)
    camera = topic_of['camera']
    if survey.questions or camera is None:
        raise InputError(survey.questions[0])
    others = {
        stream: topic for stream in list(topic_of) if stream not in _TYPES
        and (topic := topic_of.pop(stream)) is not None
    }  # fmt: skip
    del topic_of['camera']
    return Topics(camera, **topic_of, others=others)


def aligned_streams(manifest: Manifest) -> tuple[str, ...]:
    """The modalities of a model that come as images aligned with the camera's."""
    return tuple(
        modality.name
        for modality in manifest.modalities
        if isinstance(modality.encoding, AlignedImageEncoding | DepthHhaEncoding)
    )


def survey_topics(
    bag: BagReader, chosen: Mapping[str, str] | None = None, aligned: Collection[str] = ()
) -> Survey:
    """As `find_topics`, but what is not clear becomes a question.

    Raises:
        InputError: for a chosen topic that is missing or has another type.
    """
    finder = _Finder(bag, dict(chosen or {}), aligned)
    camera = finder.find('camera', _is_camera)
    if camera is None and not finder.questions:
        listed = ', '.join(f'{name} ({kind})' for name, kind in sorted(bag.topics.items()))
        finder.questions.append(
            f'{bag.path}: expected a camera topic of type {_IMAGE} or CompressedImage, '
            f'got {listed or "no topics"}; record the camera, or choose its topic'
        )
    event = finder.find('event', _is_event)
    topic_of = {
        'camera': camera,
        'camera_info': finder.find('camera_info', _beside(camera)),
        'event': event,
        'event_camera_info': finder.find('event_camera_info', _beside(event)),
        'lidar': finder.find('lidar', _is_lidar),
        'labels': finder.find('labels', _is_labels),
        'tf_static': finder.find('tf_static', _is_static),
        'tf': finder.find('tf', _is_moving, is_needed=False),
        'odometry': finder.find('odometry', _is_any, is_needed=False),
        'twist': finder.find('twist', _is_any, is_needed=False),
        **{stream: finder.find(stream, _is_within(stream)) for stream in aligned},
        **{stream: finder.find(stream, _is_any) for stream in finder.more_lidars},
    }
    return Survey(topic_of, tuple(finder.questions))


def _is_camera(name: str, _: str) -> bool:
    return not _is_labels(name, _) and not any(word in name for word in _DERIVED)


def _is_labels(name: str, _: str) -> bool:
    return 'label' in name or 'ground_truth' in name


def _is_event(name: str, kind: str) -> bool:
    return kind == _EVENT_PACKET or 'event' in name


def _is_lidar(name: str, _: str) -> bool:
    return 'event' not in name


def _is_static(name: str, _: str) -> bool:
    return name.endswith('/tf_static')


def _is_moving(name: str, _: str) -> bool:
    return name.endswith('/tf')


def _is_any(_: str, __: str) -> bool:
    return True


def _is_within(stream: str) -> Callable[[str, str], bool]:
    """The stream's name is one of those between the slashes."""
    return lambda name, _: stream in name.split('/')


def _beside(topic: str | None) -> Callable[[str, str], bool]:
    """A camera and its CameraInfo share a namespace, as image_transport has it."""
    base = None if topic is None else topic.removesuffix(_COMPRESSED)
    info = None if base is None else base.rpartition('/')[0] + '/camera_info'
    return lambda name, _: name == info


class _Finder:
    def __init__(self, bag: BagReader, chosen: dict[str, str], aligned: Collection[str]) -> None:
        self._bag = bag
        self._chosen = chosen
        self.questions: list[str] = []
        self.more_lidars = sorted(stream for stream in chosen if _MORE_LIDARS.fullmatch(stream))
        self._types = {
            **dict.fromkeys(aligned, (_IMAGE,)),
            **dict.fromkeys(self.more_lidars, (_CLOUD,)),
            **_TYPES,
        }
        unknown = sorted(set(chosen) - set(self._types))
        if unknown:
            raise InputError(
                f'topics: expected streams among {", ".join(self._types)}, got '
                f'{", ".join(unknown)}; choose one of these'
            )

    def find(
        self, stream: str, is_wanted: Callable[[str, str], bool], is_needed: bool = True
    ) -> str | None:
        if stream in self._chosen:
            return self._check_chosen(stream, self._chosen[stream])
        names = [
            name
            for name, kind in sorted(self._bag.topics.items())
            if kind in self._types[stream] and _OWN not in name and is_wanted(name, kind)
            and name not in self._chosen.values()
        ]  # fmt: skip
        # image_transport offers one camera's images twice, the second time with some loss.
        names = [name for name in names if name.removesuffix(_COMPRESSED) not in {*names} - {name}]
        if len(names) > 1 and is_needed:
            self.questions.append(
                f'{self._bag.path}: expected one topic for {stream}, got {", ".join(names)}; '
                f'choose one, as in --topic {stream}={names[0]} (in a recipe: data.topics)'
            )
        return names[0] if len(names) == 1 else None

    def _check_chosen(self, stream: str, topic: str) -> str:
        got = self._bag.topics.get(topic, 'no such topic')
        if got not in self._types[stream]:
            raise InputError(
                f'{self._bag.path}: expected {topic} for {stream} with type '
                f'{" or ".join(self._types[stream])}, got {got}; choose another topic'
            )
        return topic
