"""What a simulated drive is to be: its town, its light, and what goes wrong when."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
import math

from mle_sam_ros.core.errors import InputError
from mle_sam_ros.simulation.conditions import Condition, typical
from mle_sam_ros.simulation.failures import Failure, FAILURE_NAMES
import numpy as np

STREAMS = ('camera', 'event', 'lidar')
# Separate streams of random numbers, so that one choice never shifts another.
_LIGHT, _SEVERITY = 0xA1, 0xA2


@dataclass(frozen=True)
class Episode:
    """Something that is so for a part of the drive.

    Attributes:
        name: of a failure, or of the stream that is out.
        from_s: when it begins, seconds of the drive.
        to_s: when it is over; not part of it.
    """

    name: str
    from_s: float = 0.0
    to_s: float = math.inf

    def __str__(self) -> str:
        """As `parse_failure` and `parse_outage` read it."""
        return f'{self.name}:{self.from_s:.9g}:{self.to_s:.9g}'

    def covers(self, time_ns: int) -> bool:
        """Whether a time of the drive falls into it."""
        return self.from_s * 1e9 <= time_ns < self.to_s * 1e9

    def overlaps(self, other: Episode) -> bool:
        """Whether both are so at some time."""
        return self.from_s < other.to_s and other.from_s < self.to_s


def parse_outage(text: str) -> Episode:
    """Read `lidar:4:6`, a stream without messages from second 4 to 6, or `lidar`, always.

    Raises:
        InputError: for an unknown stream or no such times.
    """
    return _parse_episode(text, 'outage', STREAMS)


def parse_failure(text: str) -> Episode:
    """Read `over_exposure:3:8`, a failure from second 3 to 8, or `over_exposure`, always.

    Raises:
        InputError: for an unknown failure or no such times.
    """
    return _parse_episode(text, 'failure', FAILURE_NAMES)


@dataclass(frozen=True)
class Scenario:
    """A drive, fully determined.

    Attributes:
        seed: of the town, of how it is driven through, and of all noise.
        seconds: how long the drive lasts.
        condition: one of `conditions.CONDITION_NAMES`.
        failures: what is wrong with sensors, and when.
        outages: which streams give no messages, and when.
    """

    seed: int
    seconds: float
    condition: str = 'day'
    failures: tuple[Episode, ...] = ()
    outages: tuple[Episode, ...] = ()

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InputError(f'seed: expected 0 or more, got {self.seed}; choose another')
        if not 0.1 <= self.seconds <= 3600:
            raise InputError(f'seconds: expected 0.1 to 3600, got {self.seconds}; choose another')
        self.light()  # checks the condition's name
        for failure in self.failures:
            _check_episode(failure, 'failure', FAILURE_NAMES)
        for outage in self.outages:
            _check_episode(outage, 'outage', STREAMS)
        for number, first in enumerate(self.failures):
            for second in self.failures[number + 1 :]:
                if first.overlaps(second) and _sensor(first) == _sensor(second):
                    raise InputError(
                        f'failures: expected one at a time for the {_sensor(first)}, got '
                        f'{first.name} and {second.name} at once; give them other times'
                    )

    @property
    def duration_ns(self) -> int:
        """How long the drive lasts."""
        return round(self.seconds * 1e9)

    def custom_data(self) -> dict[str, str]:
        """What a recording of the drive notes of it.

        `condition`; `failure` where one, or none, holds all the time; otherwise `failures` with
        their times in seconds (`over_exposure:3:8 lidar_jitter:0:inf`); `outages` likewise.
        """
        noted = {'condition': self.condition}
        always = [
            item.name for item in self.failures if item.covers(0) and item.to_s >= self.seconds
        ]
        if len(always) == len(self.failures) <= 1:
            noted['failure'] = always[0] if always else 'none'
        else:
            noted['failures'] = ' '.join(map(str, self.failures))
        if self.outages:
            noted['outages'] = ' '.join(map(str, self.outages))
        return noted

    def light(self) -> Condition:
        """Light and weather of the whole drive."""
        return typical(self.condition, np.random.default_rng([self.seed, _LIGHT]))

    def failure(self, sensor: str, time_ns: int) -> Failure:
        """What is wrong with a sensor at a time of the drive; its severity stays the same."""
        for number, episode in enumerate(self.failures):
            if episode.covers(time_ns) and _sensor(episode) == sensor:
                rng = np.random.default_rng([self.seed, _SEVERITY, number])
                return Failure.random(episode.name, rng)
        return Failure()

    def is_out(self, stream: str, time_ns: int) -> bool:
        """Whether a stream's message of a time of the drive is lost."""
        return any(outage.name == stream and outage.covers(time_ns) for outage in self.outages)


def _sensor(failure: Episode) -> str:
    return Failure(failure.name).sensor


def _parse_episode(text: str, kind: str, names: Collection[str]) -> Episode:
    name, *times = text.split(':')
    try:
        from_s, to_s = (float(time) for time in times) if times else (0.0, math.inf)
    except ValueError:
        raise InputError(
            f'{kind}: expected {name}:FROM:TO in seconds, got {text!r}; write {name}:4:6'
        ) from None
    episode = Episode(name, from_s, to_s)
    _check_episode(episode, kind, names)
    return episode


def _check_episode(episode: Episode, kind: str, names: Collection[str]) -> None:
    if episode.name not in names:
        raise InputError(
            f'{kind}: expected one of {", ".join(names)}, got {episode.name!r}; choose one'
        )
    if not 0 <= episode.from_s < episode.to_s:
        raise InputError(
            f'{kind} {episode.name}: expected 0 <= from < to in seconds, got {episode.from_s} to '
            f'{episode.to_s}; correct the times'
        )
