"""What `/diagnostics` says: inputs, frames, latency and engine, once per second."""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mle_sam_ros.ros.inputs import Input
from mle_sam_ros.ros.latency import Stopwatch

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
_STALE_S = 1.0
# A camera whose frames are superseded more often than this is not kept up with.
_MAX_SUPERSEDED = 0.05
_NUM_REPORTS = 10


def input_status(
    source: Input, lack: str | None, stream_account: Mapping[str, Any] | None
) -> DiagnosticStatus:
    """The state of one input.

    Args:
        source: the subscription.
        lack: what its calibration lacks, or None.
        stream_account: what became of its samples, where the assembler keeps an account.
    """
    rate_hz, num_faults = source.take_report()
    silence_s = source.silence_s
    if num_faults:
        level, state, message = ERROR, 'rejected', source.last_fault
    elif silence_s is None:
        level, state, message = WARN, 'waiting', f'nothing received on {source.topic} yet'
    elif source.spec.is_steady and silence_s > _STALE_S:
        level, state, message = ERROR, 'stale', f'{source.topic} is silent since {silence_s:.1f} s'
    elif lack is not None:
        level, state, message = ERROR, 'waiting_calibration', lack
    else:
        level, state, message = OK, 'ok', f'{rate_hz:.1f} Hz'
    values = {
        'topic': source.topic,
        'state': state,
        'rate_hz': rate_hz,
        'silence_s': 'never' if silence_s is None else silence_s,
        'received': source.received,
        'lost': source.lost,
        'faults': source.faults,
        'last_fault': source.last_fault or 'none',
        'incompatible_qos': source.incompatible_qos,
    }
    for key, value in (stream_account or {}).items():
        if isinstance(value, Mapping):
            values.update({f'{key}/{reason}': count for reason, count in value.items()})
        else:
            values[f'samples/{key}'] = value
    return status(f'input {source.spec.stream}', level, message, values)


class FrameReporter:
    """Judges, over the last ten reports, whether the node keeps up with its camera."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, Counter[str]]] = deque(maxlen=_NUM_REPORTS)

    def status(self, frames: Mapping[str, Any], stopwatch: Stopwatch) -> DiagnosticStatus:
        """The frame account, and whether the frames of late were all segmented.

        Args:
            frames: `FrameAccount.to_mapping()`.
            stopwatch: with the stage `total`.
        """
        new, rate_hz = self._since_long(frames)
        capacity_hz = _capacity_hz(stopwatch)
        level, message = OK, f'keeps up with {rate_hz:.1f} Hz; could take {capacity_hz:.0f} Hz'
        if rejected := {reason: new[reason] for reason in frames['rejected'] if new[reason]}:
            level, message = ERROR, _rejections(rejected)
        elif new['superseded'] > max(1, _MAX_SUPERSEDED * new['received']):
            level = WARN
            message = (
                f'does not keep up with {rate_hz:.1f} Hz: {new["superseded"]} of the last '
                f'{new["received"]} frames were superseded; could take {capacity_hz:.0f} Hz'
            )
        elif not new['received']:
            level, message = WARN, 'no camera frames of late'
        values = {key: value for key, value in frames.items() if key != 'rejected'}
        values['rejected'] = sum(frames['rejected'].values())
        values.update({f'rejected/{reason}': n for reason, n in frames['rejected'].items()})
        values.update({'rate_hz': rate_hz, 'capacity_hz': capacity_hz})
        return status('frames', level, message, values)

    def _since_long(self, frames: Mapping[str, Any]) -> tuple[Counter[str], float]:
        """What the counters gained since the oldest report kept, and the camera's rate."""
        now_s = time.monotonic()
        now = Counter(frames['rejected'])
        now.update(received=frames['received'], superseded=frames['superseded'])
        since_s, before = self._history[0] if self._history else (now_s, Counter())
        self._history.append((now_s, now))
        new = now - before
        return new, new['received'] / (now_s - since_s) if now_s > since_s else 0.0


def _capacity_hz(stopwatch: Stopwatch) -> float:
    """Frames per second that the worker could take, judged by the slowest twentieth."""
    _, p95_ms, _ = stopwatch.percentiles().get('total', (0.0, 0.0, 0.0))
    return 1000 / p95_ms if p95_ms else 0.0


def latency_status(stopwatch: Stopwatch) -> DiagnosticStatus:
    """Percentiles by stage; `latency` runs from the camera's stamp to publication."""
    percentiles = stopwatch.percentiles()
    values = {
        f'{stage}/{name}_ms': value
        for stage, row in sorted(percentiles.items())
        for name, value in zip(('p50', 'p95', 'p99'), row, strict=True)
    }
    if 'latency' not in percentiles:
        return status('latency', OK, 'no frame yet', values)
    p50_ms, p95_ms, p99_ms = percentiles['latency']
    message = f'stamp to mask p50 {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms, p99 {p99_ms:.0f} ms'
    return status('latency', OK, message, values)


def status(name: str, level: bytes, message: str, values: Mapping[str, Any]) -> DiagnosticStatus:
    """A `DiagnosticStatus`; booleans become True and False, floats keep three decimals."""
    pairs = [
        KeyValue(key=key, value=f'{value:.3f}' if isinstance(value, float) else str(value))
        for key, value in values.items()
    ]
    return DiagnosticStatus(level=level, name=name, message=message, values=pairs)


def diagnostic_array(
    statuses: Sequence[DiagnosticStatus], node_name: str, hardware_id: str, stamp: Any
) -> DiagnosticArray:
    """The statuses of one node, named `<node>: <status>` as diagnostic aggregators expect."""
    for item in statuses:
        item.name = f'{node_name}: {item.name}'
        item.hardware_id = hardware_id
    array = DiagnosticArray(status=list(statuses))
    array.header.stamp = stamp
    return array


def _rejections(rejected: Mapping[str, int]) -> str:
    reasons = ', '.join(f'{reason} {count}' for reason, count in rejected.items())
    remedy = ''
    if {'too_old', 'in_future', 'no_stamp'} & rejected.keys():
        remedy = (
            '; stamps and node need one clock: set use_sim_time for recordings, else time sync'
        )
    return f'camera frames rejected of late: {reasons}{remedy}'
