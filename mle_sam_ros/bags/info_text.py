"""What is in a recording, as text for a terminal."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from mle_sam_ros.bags.info import RecordingInfo, TopicInfo
from mle_sam_ros.bags.timing import Timing

_HEADINGS = ('stream', 'topic', 'type', 'messages', 'rate', 'longest gap', 'log time - stamp')
_RIGHT = (3, 4, 5)


def info_text(info: RecordingInfo) -> str:
    """Some lines; those that want attention begin with an exclamation mark."""
    return '\n'.join(_lines(info))


def _lines(info: RecordingInfo) -> Iterator[str]:
    yield f'{info.path}  {_size(info.num_bytes)}'
    if info.start_ns is not None:
        start = datetime.fromtimestamp(info.start_ns / 1e9, timezone.utc)
        yield f'{start:%Y-%m-%d %H:%M:%S} UTC, {info.duration_s:.1f} s, {info.messages} messages'
    for key, value in info.custom_data.items():
        yield f'{key}: {value}'
    yield ''
    yield from _table([_HEADINGS, *(_row(topic) for topic in _ordered(info.topics))])
    yield from _section('content', _content(info.topics))
    yield from _section('transforms', _transforms(info))
    yield from _section('calibration', _calibration(info))
    yield from _section('attention', _attention(info))
    if info.model is not None:
        yield from _section(f'model {info.model}', _fit(info))


def _ordered(topics: Sequence[TopicInfo]) -> list[TopicInfo]:
    """Those that are used come first."""
    return sorted(topics, key=lambda item: (item.stream is None, item.stream, item.topic))


def _row(item: TopicInfo) -> tuple[str, ...]:
    timing = item.timing
    return (
        item.stream or '-',
        item.topic,
        item.type.replace('/msg/', '/'),
        str(timing.messages),
        '-' if timing.rate_hz is None else f'{timing.rate_hz:.1f} Hz',
        '-' if timing.longest_gap_s is None else f'{timing.longest_gap_s * 1e3:.0f} ms',
        _delay(timing),
    )


def _delay(timing: Timing) -> str:
    delay = timing.delay
    if delay is None:
        return '-'
    if abs(delay.median_ms) > 10_000:
        return f'{delay.median_ms / 1e3:.1f} s'
    return f'{delay.median_ms:.1f} ms ({delay.least_ms:.1f} to {delay.most_ms:.1f})'


def _content(topics: Sequence[TopicInfo]) -> Iterator[str]:
    for item in _ordered(topics):
        if item.content is not None:
            frame = f', frame {item.frame_id}' if item.frame_id else ''
            yield f'{item.topic}  {item.content}{frame}'


def _transforms(info: RecordingInfo) -> Iterator[str]:
    for parent, children in info.transforms.items():
        yield f'{parent} -> {", ".join(children)}'
    for parent, children in info.moving_transforms.items():
        yield f'{parent} -> {", ".join(children)} (moving)'


def _calibration(info: RecordingInfo) -> Iterator[str]:
    for need, lack in info.calibration.items():
        yield f'{need}: there' if lack is None else f'! {need}: missing; {lack}'


def _attention(info: RecordingInfo) -> Iterator[str]:
    for question in info.questions:
        yield f'! {question}'
    for item in _ordered(info.topics):
        for text in (*([item.problem] if item.problem else []), *_irregularities(item)):
            yield f'! {text}' if text.startswith(item.topic) else f'! {item.topic}: {text}'


def _irregularities(item: TopicInfo) -> Iterator[str]:
    timing = item.timing
    yield from timing.notes
    if item.stream is None or timing.rate_hz is None or timing.longest_gap_s is None:
        return
    if timing.gaps:
        gaps = '1 gap' if timing.gaps == 1 else f'{timing.gaps} gaps, the longest'
        yield (f'{gaps} of {timing.longest_gap_s:.3f} s where {1 / timing.rate_hz:.3f} s is usual')
    if timing.repeats:
        yield f'{timing.repeats} stamps repeat the one before'
    if timing.steps_back:
        yield f'{timing.steps_back} messages are out of order'


def _fit(info: RecordingInfo) -> Iterator[str]:
    for item in info.fit:
        yield (
            f'{item.modality}: ready'
            if item.problem is None
            else (f'! {item.modality}: absent; {item.problem.removeprefix(f"{item.modality}: ")}')
        )
    usable = info.usable
    if info.questions:
        yield 'cannot run before the questions are answered'
    elif not usable:
        yield 'cannot run on this recording'
    else:
        yield f'runs on {" + ".join(usable)}, {len(usable)} of {len(info.fit)} sensors'


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    content = list(lines)
    if content:
        yield from ('', title, *(f'  {line}' for line in content))


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.rjust(width) if column in _RIGHT else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield '  '.join(cells).rstrip()


def _size(num_bytes: int) -> str:
    for unit, factor in (('GB', 1e9), ('MB', 1e6), ('kB', 1e3)):
        if num_bytes >= factor:
            return f'{num_bytes / factor:.1f} {unit}'
    return f'{num_bytes} bytes'
