"""Messages that are lost, or come late: what networks, drivers and busy machines do."""

from dataclasses import dataclass

from mle_sam_ros.replay.faults.fault import Draw, MessageFault, NumberFault, Passing, Step

_MAX_DELAY_S = 10.0
# A sensor whose messages come half a period early still has the rate that it is thinned to.
_TOLERANCE = 0.5


class ArrivalFault(NumberFault, MessageFault):
    """Any stream can be late: the sensors, and what tells of the vehicle's motion."""

    victims = 'any stream'

    @classmethod
    def befalls(cls, stream: str) -> bool:
        """Whether a stream can have it."""
        return True


@dataclass(frozen=True)
class Drop(ArrivalFault):
    """Each message is lost with a probability of 0 to 1; 1 for some seconds is an outage."""

    kind = 'drop'
    takes = 'a probability'
    said = '{part} {stream} messages lost'
    low, high = 0.0, 1.0

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        return lambda item, holds: (
            None if holds and draw(item.number).random() < self.value else item
        )


@dataclass(frozen=True)
class Delay(ArrivalFault):
    """Each message arrives so many seconds later; its stamp stays, as on a slow network."""

    kind = 'delay'
    takes = 'seconds'
    said = '{stream} messages {ms:g} ms late'
    low, high = 0.0, _MAX_DELAY_S

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        return lambda item, holds: _later(item, self.value) if holds else item


@dataclass(frozen=True)
class Jitter(ArrivalFault):
    """Each message arrives later by a chance of up to so many seconds; some overtake others."""

    kind = 'jitter'
    takes = 'seconds'
    said = '{stream} messages up to {ms:g} ms late, at random'
    low, high = 0.0, _MAX_DELAY_S

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""

        def step(item: Passing, holds: bool) -> Passing:
            return _later(item, draw(item.number).uniform(0, self.value)) if holds else item

        return step


@dataclass(frozen=True)
class Rate(ArrivalFault):
    """At most so many messages a second are left; the others are lost, evenly."""

    kind = 'rate'
    takes = 'hertz'
    said = '{stream} thinned to {value} Hz'
    low, high = 0.01, 1e6

    def begin(self, draw: Draw) -> Step:
        """As `MessageFault.begin`."""
        allowance, last_ns = _TOLERANCE, 0

        def step(item: Passing, holds: bool) -> Passing | None:
            nonlocal allowance, last_ns
            gained = self.value * (item.recorded_ns - last_ns) / 1e9 if last_ns else 0.0
            allowance, last_ns = min(1.0, allowance + gained), item.recorded_ns
            if holds and allowance < _TOLERANCE:
                return None
            allowance -= 1.0 if holds else 0.0
            return item

        return step


def _later(item: Passing, seconds: float) -> Passing:
    return item._replace(time_ns=item.time_ns + round(seconds * 1e9))
