"""The results of a fleet: those of its recordings, added up."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FleetRow:
    """One recording in the report of a fleet.

    Attributes:
        name: of its results, in the fleet's directory.
        conditions: that hold in some of it.
        seconds: that it lasts; None where it failed.
        masks: that were made.
        frames_scored: masks that met ground truth.
        miou: over all of them; None without ground truth.
        worst_condition: name and mIoU of the one with the lowest; None without any.
        report: its own `report.html`, relative to the fleet's directory; None where it failed.
        failure: why it has no results, in one line; None where it has.
    """

    name: str
    conditions: tuple[str, ...] = ()
    seconds: float | None = None
    masks: int = 0
    frames_scored: int = 0
    miou: float | None = None
    worst_condition: tuple[str, float] | None = None
    report: str | None = None
    failure: str | None = None
