"""Five frames a second, for what costs much and says the same of neighbouring frames."""

_PERIOD_NS = 200_000_000


class Sampling:
    """Takes the first frame in each fifth of a second, on a grid of absolute time."""

    def __init__(self) -> None:
        self._latest = -1

    def takes(self, stamp_ns: int) -> bool:
        """Whether this frame is one; to be asked once of each, in their order."""
        latest, self._latest = self._latest, stamp_ns // _PERIOD_NS
        return self._latest != latest
