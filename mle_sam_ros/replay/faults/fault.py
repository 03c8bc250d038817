"""What an injected fault is: one thing that goes wrong with one stream, and when."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
import math
import re
from typing import Any, ClassVar, NamedTuple, TypeVar

from mle_sam_ros.core.errors import InputError
import numpy as np

_MORE_LIDARS = re.compile(r'lidar_[2-9]')
Kind = TypeVar('Kind', bound='Fault')

# From the number of a message to the source of its own chance.
Draw = Callable[[int], np.random.Generator]


class Passing(NamedTuple):
    """A message on its way through the faults of its stream.

    Attributes:
        time_ns: when it arrives.
        message: never changed in place.
        recorded_ns: when it arrived in the recording.
        number: how many messages of its stream the recording has before it.
    """

    time_ns: int
    message: Any
    recorded_ns: int
    number: int


# Takes the messages of a stream as they were recorded, and whether the fault holds at that time.
# None loses the message.
Step = Callable[[Passing, bool], Passing | None]


@dataclass(frozen=True)
class Window:
    """When a fault holds.

    Attributes:
        from_s: begin, in seconds since the first message of the recording.
        to_s: end, which is not part of it.
    """

    from_s: float = 0.0
    to_s: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.from_s < self.to_s:
            raise InputError(
                f'fault: expected a window FROM-TO in seconds, 0 <= FROM < TO, got {self}; '
                'correct the times'
            )

    def covers(self, since_start_ns: int) -> bool:
        """Whether an instant of the drive falls into it."""
        return self.from_s * 1e9 <= since_start_ns < self.to_s * 1e9

    def __str__(self) -> str:
        return f'{number_text(self.from_s)}-{number_text(self.to_s)}'


ALWAYS = Window()


@dataclass(frozen=True)
class Fault(ABC):
    """One thing that goes wrong with one stream; as text it is what the command line takes.

    Attributes:
        kind: its name.
        takes: what its value is, in words.
        victims: the streams that can have it, in words.
        said: what happens, to be filled in by `words`.
        stream: of the pipeline.
        window: when it holds.
    """

    kind: ClassVar[str]
    takes: ClassVar[str]
    victims: ClassVar[str]
    said: ClassVar[str]

    stream: str
    window: Window

    def __post_init__(self) -> None:
        if not self.befalls(self.stream):
            raise InputError(
                f'fault: expected {self.kind} of {self.victims}, got {self.stream!r}; '
                'choose one of these streams'
            )

    def __str__(self) -> str:
        return self.name if self.window == ALWAYS else f'{self.name}@{self.window}'

    @property
    def name(self) -> str:
        """What it is, whenever it holds."""
        return f'{self.stream}:{self.kind}={self.value_text}'

    @property
    def words(self) -> str:
        """What happens, for a person, whenever it does: `lidar messages 100 ms late`."""
        return self.said.format(stream=self.stream.replace('_', ' '), value=self.value_text)

    @classmethod
    @abstractmethod
    def parse(cls: type[Kind], stream: str, value: str, window: Window) -> Kind:
        """The fault of a value as on the command line.

        Raises:
            InputError: for a value that is none of this kind, or a stream that cannot have it.
        """

    @classmethod
    @abstractmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""

    @property
    @abstractmethod
    def value_text(self) -> str:
        """The value as on the command line."""


class MessageFault(Fault):
    """A fault of messages, or of when they arrive."""

    @abstractmethod
    def begin(self, draw: Draw) -> Step:
        """What to do with the messages of the stream, from the recording's first on."""


@dataclass(frozen=True)
class NumberFault(Fault):
    """A fault whose value is a number.

    Attributes:
        low: least value.
        high: greatest value.
        value: in the unit that `takes` names.
    """

    low: ClassVar[float]
    high: ClassVar[float]

    value: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.value <= self.high:
            raise InputError(
                f'fault: expected {self.kind} to be {self.takes}, {number_text(self.low)} to '
                f'{number_text(self.high)}, got {number_text(self.value)}; choose another'
            )

    @classmethod
    def parse(cls: type[Kind], stream: str, value: str, window: Window) -> Kind:
        """As `Fault.parse`."""
        return cls(stream, window, parse_number(value, cls))  # type: ignore[call-arg]

    @property
    def value_text(self) -> str:
        """The number."""
        return number_text(self.value)

    @property
    def words(self) -> str:
        """As `Fault.words`; `said` may also take the number, milliseconds, or a part of all."""
        return self.said.format(
            stream=self.stream.replace('_', ' '),
            value=self.value_text,
            number=self.value,
            ms=1000 * self.value,
            part='all' if self.value == 1 else f'{100 * self.value:g} % of the',
        )


def parse_number(text: str, kind: type[Fault]) -> float:
    """A finite number.

    Raises:
        InputError: for any other text.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(
            f'fault: expected {kind.kind} to be {kind.takes}, got {text!r}; give a number'
        )
    return number


def number_text(number: float) -> str:
    """A number in full, without exponent and without what it does not need: 4 for 4.0."""
    return np.format_float_positional(number, trim='-')


def is_sensor(stream: str) -> bool:
    """Whether a stream brings samples: a modality, or a further LiDAR."""
    return stream not in ('tf', 'odometry', 'twist')


def is_lidar(stream: str) -> bool:
    """Whether a stream is `lidar`, `lidar_2` and so on."""
    return stream == 'lidar' or bool(_MORE_LIDARS.fullmatch(stream))
