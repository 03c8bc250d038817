"""What `/diagnostics` says of an active node: inputs, fusion, frames and latency.

Keys follow those that Autoware's tools read, where they have one: booleans are True and False,
stamps are seconds with nine decimals, durations are milliseconds, what is unknown is n/a or never.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from mle_sam_ros.core.frame_health import FrameJudge
from mle_sam_ros.core.fusion_watch import Fusion, FusionWatch
from mle_sam_ros.core.health import (
    Escalation,
    Health,
    HealthLimits,
    InputJudge,
    Level,
    Observation,
)
from mle_sam_ros.core.pipeline import Prediction
from mle_sam_ros.ros.inputs import Input
from mle_sam_ros.ros.latency import Stopwatch

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
_LEVELS = {Level.OK: OK, Level.WARN: WARN, Level.ERROR: ERROR}
# Stages of `Prediction.timings_ms`, as Autoware groups them.
_STAGES = {
    'preprocess_time_ms': ('decode', 'project'),
    'inference_time_ms': ('infer',),
    'postprocess_time_ms': ('resize', 'publish'),
}


class Reporter:
    """Judges a node from its activation on, each time that `statuses` is asked for."""

    def __init__(self, modalities: Sequence[str], stopwatch: Stopwatch) -> None:
        """Set up; modalities of the manifest, and the worker's stopwatch."""
        self._modalities = modalities
        self._stopwatch = stopwatch
        self._watch = FusionWatch(modalities)
        self._inputs: dict[str, InputJudge] = {}
        self._frames = FrameJudge()
        self._pace = Escalation()
        self._published_s: float | None = None

    def observe(self, prediction: Prediction) -> None:
        """A prediction was published; called by the worker."""
        self._published_s = time.monotonic()
        self._watch.observe(prediction, self._published_s)

    def statuses(
        self,
        sources: Iterable[Input],
        lack: Callable[[str], str | None],
        counters: Mapping[str, Any],
        limits: HealthLimits,
    ) -> list[DiagnosticStatus]:
        """One status per input, then `fusion`, `frames` and `latency`.

        Args:
            sources: the subscriptions.
            lack: what the calibration of a stream lacks, in one line, or None.
            counters: of the worker.
            limits: as of now.
        """
        now_s = time.monotonic()
        fusion = self._watch.fusion
        seen = {
            source: _observation(source, lack(source.spec.stream), counters, fusion)
            for source in sources
        }
        health = {
            source: self._inputs.setdefault(source.spec.stream, InputJudge()).judge(
                observation, now_s, limits
            )
            for source, observation in seen.items()
        }
        return [
            *(
                self._input_status(source, health[source], observation, counters)
                for source, observation in seen.items()
            ),
            self._fusion_status(fusion, health, now_s, limits),
            self._frame_status(counters['frames'], now_s, limits),
            self._latency_status(fusion, now_s, limits),
        ]

    def _input_status(
        self, source: Input, health: Health, seen: Observation, counters: Mapping[str, Any]
    ) -> DiagnosticStatus:
        stream = source.spec.stream
        is_known = seen.delay_s is not None and seen.silence_s is not None
        values = {
            'topic': source.topic,
            'state': health.state,
            'rate_hz': self._inputs[stream].rate_hz,
            'age_ms': max(0.0, 1e3 * (seen.delay_s + seen.silence_s)) if is_known else 'n/a',
            'delay_ms': 'n/a' if seen.delay_s is None else 1e3 * seen.delay_s,
            'silence_ms': 'never' if seen.silence_s is None else 1e3 * seen.silence_s,
            'num_publishers': seen.num_publishers,
            'received': seen.received,
            'lost': source.lost,
            'faults': seen.faults,
            'last_fault': seen.last_fault or 'none',
            'incompatible_qos': source.incompatible_qos,
        }
        if seen.served is not None:
            values['served'] = seen.served
        values.update(_flat(counters['streams'].get(stream, {}), 'samples/'))
        values.update(_flat(counters.get('inputs', {}).get(stream, {}), ''))
        return status(f'input {stream}', _LEVELS[health.level], health.message, values)

    def _fusion_status(
        self, fusion: Fusion, health: Mapping[Input, Health], now_s: float, limits: HealthLimits
    ) -> DiagnosticStatus:
        healthy = {source.spec.stream for source, judged in health.items() if judged.state == 'ok'}
        states = Counter(
            judged.state for source, judged in health.items() if source.spec.is_steady
        )
        fused = [name for name in self._modalities if name in fusion.contents]
        values: dict[str, Any] = {
            'fusion_success': bool(fused),
            'fused_timestamp': _timestamp(fusion.stamp_ns),
            'num_fused': len(fused),
            'num_waiting': sum(
                count for state, count in states.items() if state.startswith(('wait', 'never'))
            ),
            'num_stale': states['stale'],
            'num_rejected': states['rejected'],
            'num_out_of_sync': states['out_of_sync'],
        }
        for name in self._modalities:
            values[f'{name}/is_fused'] = name in fused
            if name in fused:
                values[f'{name}/timestamp'] = _timestamp(fusion.stamps_ns.get(name))
                values[f'{name}/content'] = fusion.contents[name]
            values[f'{name}/router_weight'] = fusion.weights.get(name, 'n/a')
            values[f'{name}/usual_router_weight'] = fusion.usual_weights.get(name, 'n/a')
        contradictions = self._watch.contradictions(now_s, limits.suspect_after_s, healthy)
        if contradictions:
            return status('fusion', WARN, '; '.join(contradictions), values)
        message = f'{", ".join(fused)} fused' if fused else 'nothing fused yet'
        return status('fusion', OK, message, values)

    def _frame_status(
        self, frames: Mapping[str, Any], now_s: float, limits: HealthLimits
    ) -> DiagnosticStatus:
        _, p95_ms, _ = self._stopwatch.percentiles().get('total', (0.0, 0.0, 0.0))
        capacity_hz = 1e3 / p95_ms if p95_ms else 0.0
        health = self._frames.judge(frames, capacity_hz, now_s, limits.error_after_s)
        values = {key: value for key, value in frames.items() if key != 'rejected'}
        values['rejected'] = sum(frames['rejected'].values())
        values.update({f'rejected/{reason}': n for reason, n in frames['rejected'].items()})
        values.update({'rate_hz': self._frames.rate_hz, 'capacity_hz': capacity_hz})
        return status('frames', _LEVELS[health.level], health.message, values)

    def _latency_status(
        self, fusion: Fusion, now_s: float, limits: HealthLimits
    ) -> DiagnosticStatus:
        latest, percentiles = self._stopwatch.latest(), self._stopwatch.percentiles()
        processing_ms = latest.get('total')
        limit_ms = limits.max_processing_time_ms or float('inf')
        is_fast = processing_ms is None or processing_ms <= limit_ms
        level = _LEVELS[self._pace.level(is_fast, now_s, limits.error_after_s)]
        since_s = self._published_s
        values: dict[str, Any] = {
            'processing_time_ms': 'n/a' if processing_ms is None else processing_ms,
            'is_processing_time_ms_in_expected_range': is_fast,
            'consecutive_processing_delay_ms': 1e3 * self._pace.duration_s(now_s),
            'is_consecutive_processing_delay_in_range': level != ERROR,
            **{
                key: sum(latest.get(stage, 0.0) for stage in stages)
                for key, stages in _STAGES.items()
            },
            'output_latency_ms': latest.get('latency', 'n/a'),
            'last_frame_timestamp': _timestamp(fusion.stamp_ns),
            'time_since_last_publish_ms': 'never' if since_s is None else 1e3 * (now_s - since_s),
        }
        for stage, row in sorted(percentiles.items()):
            for name, value in zip(('p50', 'p95', 'p99'), row, strict=True):
                values[f'{stage}/{name}_ms'] = value
        if not is_fast:
            message = f'a frame took {processing_ms:.0f} ms; allowed are {limit_ms:.0f} ms'
        elif 'latency' in percentiles:
            p50_ms, p95_ms, p99_ms = percentiles['latency']
            message = (
                f'stamp to mask p50 {p50_ms:.0f} ms, p95 {p95_ms:.0f} ms, p99 {p99_ms:.0f} ms'
            )
        else:
            message = 'no frame yet'
        return status('latency', level, message, values)


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


def _observation(
    source: Input, lack: str | None, counters: Mapping[str, Any], fusion: Fusion
) -> Observation:
    stream = source.spec.stream
    refused, served = {}, None
    if stream == 'camera':
        refused, served = counters['frames']['rejected'], fusion.served.get(stream, 0)
    elif stream in counters['streams']:
        refused, served = counters['streams'][stream]['refused'], fusion.served.get(stream, 0)
    return Observation(
        source.topic,
        source.spec.is_steady,
        source.received,
        source.silence_s,
        source.num_publishers,
        source.faults,
        source.last_fault,
        source.delay_s,
        source.stamp_s,
        refused,
        served,
        fusion.sets,
        lack is not None and 'intrinsics of' in lack,  # as `Projection.missing` words it
        lack,
    )


def _flat(counters: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Counters by reason become `refused/<reason>`; the others get the prefix."""
    flat = {}
    for key, value in counters.items():
        if isinstance(value, Mapping):
            flat.update({f'{key}/{reason}': count for reason, count in value.items()})
        else:
            flat[prefix + key] = value
    return flat


def _timestamp(stamp_ns: int | None) -> str:
    if stamp_ns is None:
        return 'never'
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return f'{seconds}.{nanoseconds:09d}'
