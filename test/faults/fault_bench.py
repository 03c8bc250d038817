"""A node in its own process that goes through faults, and the record of how it fared."""

from collections import Counter
from dataclasses import dataclass
import time

from builtin_interfaces.msg import Time
from faults import AFTER_MS, ALL, Delivery, END_MS, Fault, faulty_drive
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState
from ros_bench import Bench, MS, present_by_stamp, stamp_ns_of, wait_until
from rosgraph_msgs.msg import Clock

# Ticks of /clock, beside one with each message. They end later than the drive: its last frames may
# wait for time to go on.
_TICKS_MS = range(0, END_MS + AFTER_MS + 200, 20)
# By how much the drive may run ahead of the node.
_STEP_MS = 60


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
    """Publishes a drive with a fault to a node that runs already, and tells it the time.

    The drive's time stands still while the node, or this process, does: what is measured is what
    the node makes of a fault, not how busy the machine is.
    """

    def __init__(self, domain_id: int) -> None:
        super().__init__(domain_id)
        self._clock = self.node.create_publisher(Clock, '/clock', 10)
        self._change_state = self.node.create_client(
            ChangeState, '/mle_sam/perception/change_state'
        )

    def wait_for_clock(self) -> None:
        """Tell the time until the node goes by it."""

        def is_told() -> bool:
            self._tell(time.time_ns())
            return any(stamp_ns_of(array) for array in self.received['diagnostics'])

        wait_until(is_told)

    def restart(self) -> None:
        """Deactivate and activate the node, so that it counts anew."""
        wait_until(self._change_state.service_is_ready)
        self._go(Transition.TRANSITION_DEACTIVATE, State.PRIMARY_STATE_INACTIVE)
        self.wait_until_silent()
        self._go(Transition.TRANSITION_ACTIVATE, State.PRIMARY_STATE_ACTIVE)
        for messages in (*self.received.values(), *self.sent.values()):
            messages.clear()  # the subscriptions go on filling the same lists
        self.wait_for_node()

    def _go(self, transition: int, goal: int) -> None:
        self._change_state.call_async(ChangeState.Request(transition=Transition(id=transition)))
        wait_until(lambda: self.state() == goal)

    def undergo(self, fault: Fault) -> Outcome:
        """Drive with a fault, from sound to faulty to sound."""
        self.restart()
        start_ns = time.time_ns()
        due: dict[float, list[Delivery]] = {at_ms: [] for at_ms in _TICKS_MS}
        for delivery in faulty_drive(fault):
            due.setdefault(delivery.at_ms, []).append(delivery)
        wall_s = time.monotonic()
        for at_ms, deliveries in sorted(due.items()):
            time.sleep(max(0.0, wall_s + at_ms / 1000 - time.monotonic()))
            self._tell(start_ns + int(at_ms * MS))
            for delivery in deliveries:
                self.send(delivery.stream, delivery.message(start_ns))
            if at_ms % _STEP_MS == 0:
                self.state()  # which it tells when it has taken in all that was sent
                wall_s = max(wall_s, time.monotonic() - at_ms / 1000)
        self.settled_frames()
        last_ns = int(self.values('fusion')['fused_timestamp'].replace('.', ''))
        wait_until(lambda: stamp_ns_of(self.received['router_weights'][-1]) == last_ns)
        return self._outcome(fault, start_ns)

    def _tell(self, now_ns: int) -> None:
        seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
        self._clock.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _outcome(self, fault: Fault, start_ns: int) -> Outcome:
        begin_ns, end_ns = start_ns + int(fault.start_ms * MS), start_ns + END_MS * MS
        present = present_by_stamp(self.received['router_weights'])
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
