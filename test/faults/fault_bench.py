"""A node in its own process that goes through faults, and the record of how it fared."""

from collections import Counter
from dataclasses import dataclass
import time

from faults import ALL, END_MS, Fault, faulty_drive
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from mle_sam_ros.core.trust import present_of
from ros_bench import Bench, MS, stamp_ns_of, wait_until


@dataclass(frozen=True)
class Outcome:
    """How the node fared.

    Attributes:
        frames: camera frames sent while the fault lasted.
        masks: masks of that time.
        present: what most of them were made of.
        rejected: frames rejected in the whole drive, by reason.
        recovery_ms: from the end of the fault to the stamp of the first mask of all sensors.
        is_balanced: whether every frame sent has exactly one account.
        reports: inputs whose diagnostics were not OK, with the last message.
    """

    fault: str
    frames: int
    masks: int
    present: frozenset[str]
    rejected: dict[str, int]
    recovery_ms: float | None
    is_balanced: bool
    reports: dict[str, str]


class FaultBench(Bench):
    """Publishes a drive with a fault to a node that runs already."""

    def __init__(self, domain_id: int) -> None:
        super().__init__(domain_id)
        self._change_state = self.node.create_client(
            ChangeState, '/mle_sam/perception/change_state'
        )

    def restart(self) -> None:
        """Deactivate and activate the node, so that it counts anew."""
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            request = ChangeState.Request(transition=Transition(id=transition))
            answer = self._change_state.call_async(request)
            wait_until(answer.done, 20)
            assert answer.result().success
        for messages in (*self.received.values(), *self.sent.values()):
            messages.clear()  # the subscriptions go on filling the same lists
        self.wait_for_node()

    def undergo(self, fault: Fault) -> Outcome:
        """Drive with a fault, from sound to faulty to sound."""
        self.restart()
        start_ns = time.time_ns()
        for delivery in faulty_drive(fault):
            # Made ahead of its time, as it takes a while.
            message = delivery.message(start_ns)
            time.sleep(max(0.0, start_ns * 1e-9 + delivery.at_ms / 1000 - time.time()))
            self.send(delivery.stream, message)
        wait_until(lambda: self._is_settled(), 10)
        return self._outcome(fault, start_ns)

    def _is_settled(self) -> bool:
        values = self.values('frames')
        return values.get('received') == str(len(self.sent['camera'])) and (
            values['waiting'] == '0'
        )

    def _outcome(self, fault: Fault, start_ns: int) -> Outcome:
        begin_ns, end_ns = start_ns + int(fault.start_ms * MS), start_ns + END_MS * MS
        present = {
            stamp_ns_of(message): present_of(
                {s.name: {pair.key: pair.value for pair in s.values} for s in message.status}
            )
            for message in self.received['router_weights']
        }
        # A silence is noticed after a while: what counts is the second half.
        middle_ns = (begin_ns + end_ns) // 2
        during = Counter(p for stamp, p in present.items() if middle_ns <= stamp < end_ns)
        whole = [stamp for stamp, p in present.items() if stamp >= end_ns and p == ALL]
        values = self.values('frames')
        counts = {k: int(values[k]) for k in ('received', 'emitted', 'superseded', 'rejected')}
        decided = counts['emitted'] + counts['superseded'] + counts['rejected']
        return Outcome(
            fault=fault.name,
            frames=sum(begin_ns <= stamp < end_ns for stamp in self.sent['camera']),
            masks=sum(begin_ns <= stamp < end_ns for stamp in present),
            present=during.most_common(1)[0][0] if during else frozenset(),
            rejected={
                key.removeprefix('rejected/'): int(value)
                for key, value in values.items()
                if key.startswith('rejected/') and value != '0'
            },
            recovery_ms=(min(whole) - end_ns) / MS if whole else None,
            is_balanced=counts['received'] == decided == len(self.sent['camera']),
            reports=self._reports(),
        )

    def _reports(self) -> dict[str, str]:
        reports = {}
        for array in self.received['diagnostics']:
            for status in array.status:
                name = status.name.partition(': ')[2]
                if name.startswith('input ') and status.level != b'\0':
                    reports[name.removeprefix('input ')] = status.message
        return reports
