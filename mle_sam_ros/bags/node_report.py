"""What a node says of itself on `/diagnostics`, read back from a recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mle_sam_ros.bags.reader import open_bag
from mle_sam_ros.core.errors import InputError

DIAGNOSTICS_TOPIC = '/diagnostics'
_NODE = '/mle_sam/perception'
_COUNTERS = ('received', 'emitted', 'superseded', 'waiting', 'without_camera', 'clock_jumps')


@dataclass(frozen=True)
class NodeReport:
    """One report of the node.

    Attributes:
        statuses: status name (`frames`, `input lidar`, …) to its keys and values; the status's own
            text as `message`.
    """

    statuses: Mapping[str, Mapping[str, str]]

    @classmethod
    def from_message(cls, message: Any) -> 'NodeReport | None':
        """Of a `diagnostic_msgs/msg/DiagnosticArray`; None where another node sent it."""
        statuses = {
            status.name.removeprefix(f'{_NODE}: '): {
                'message': status.message,
                **{pair.key: pair.value for pair in status.values},
            }
            for status in message.status
            if status.name.startswith(f'{_NODE}: ')
        }
        return cls(statuses) if statuses else None

    @property
    def is_active(self) -> bool:
        """Whether the node was active, so that it accounts for frames."""
        return 'frames' in self.statuses

    @property
    def frames(self) -> dict[str, Any]:
        """The frame account of an active node, as `FrameAccount.to_mapping()` gives it."""
        values = self.statuses['frames']
        rejected = {
            key.removeprefix('rejected/'): int(value)
            for key, value in values.items()
            if key.startswith('rejected/')
        }
        return {**{name: int(values[name]) for name in _COUNTERS}, 'rejected': rejected}

    @property
    def num_masks(self) -> int:
        """Masks that an active node made, or is about to."""
        return self.frames['emitted'] + self.frames['without_camera']

    @property
    def received(self) -> dict[str, int]:
        """Messages of the sensors that reached an active node, by stream."""
        return {
            name.removeprefix('input '): int(values['received'])
            for name, values in self.statuses.items()
            if name.startswith('input ') and 'served' in values
        }

    @property
    def bundle_sha256(self) -> str:
        """Identity of the bundle that an active node runs."""
        return self.statuses['engine']['bundle_sha256']


def last_report(path: Path) -> NodeReport:
    """The last report of an active node in a recording of its topics.

    Raises:
        InputError: where there is none.
    """
    found = None
    with open_bag(path) as bag:
        topics = [topic for topic in bag.topics if topic == DIAGNOSTICS_TOPIC]
        for item in bag.messages(topics):
            report = NodeReport.from_message(item.message)
            found = report if report is not None and report.is_active else found
    if found is None:
        raise InputError(
            f'{path}: expected reports of {_NODE} on {DIAGNOSTICS_TOPIC}, got none; record that '
            'topic, too, for at least two seconds (mle-sam record)'
        )
    return found
