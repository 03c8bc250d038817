"""Event kernels beside their peers; run by `kernels.py`."""

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
import tempfile
from types import SimpleNamespace
from typing import Any

from event_streams import evt3_bursts, evt3_isolated, libcaer_cmp
from kernel_case import KernelCase
from mle_sam_ros.core.camera import CameraModel
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.event_raster import EventProjector, pixel_table
from mle_sam_ros.core.events import Events
from mle_sam_ros.core.manifest import EventEncoding
import numpy as np

SENSOR_HW = 720, 1280
FULL_HD = CameraModel(
    (1080, 1920),
    np.array([[1150.0, 0, 959.5], [0, 1150, 539.5], [0, 0, 1]]),
    np.array([-0.1, 0.01, 0.001, -0.001, 0.0]),
)
EVENT_CAMERA = CameraModel(
    SENSOR_HW, np.array([[900.0, 0, 639.5], [0, 900, 359.5], [0, 0, 1]]), np.zeros(5)
)
RAW_HEADER = b'% evt 3.0\n% format EVT3;height=720;width=1280\n% geometry 1280x720\n% end\n'


def cases() -> Iterator[KernelCase]:
    """What to measure."""
    random = np.random.default_rng(0)
    yield from evt3_cases(random)
    yield from packet_cases(random)
    yield from other_format_cases(random)
    yield from count_cases(random)


def evt3_cases(random: np.random.Generator) -> Iterator[KernelCase]:
    streams = {
        'EVT3, isolated events': evt3_isolated(250_000, random),
        'EVT3, sparse masks': evt3_bursts(40_000, 3, 0.15, random),
        'EVT3, masks': evt3_bursts(40_000, 3, 0.4, random),
        'EVT3, dense masks': evt3_bursts(15_000, 8, 0.8, random),
    }
    with tempfile.TemporaryDirectory() as directory:
        for index, (name, words) in enumerate(streams.items()):
            path = Path(directory) / f'{index}.raw'
            path.write_bytes(RAW_HEADER + words.astype('<u2').tobytes())
            decode = decode_anew('evt3', words, SENSOR_HW)
            data, num_events = words.tobytes(), len(decode())
            yield KernelCase(
                f'{name}, {len(data) / num_events:.2f} B each',
                num_events,
                decode,
                {
                    'evt3': peer('evt3', lambda evt3, d=data: evt3.Decoder(1280, 720).feed(d)),
                    'faery, from a file': peer(
                        'faery', lambda faery, p=path: faery.events_stream_from_file(p).to_array()
                    ),
                    'expelliarmus, from a file': peer(
                        'expelliarmus', lambda library, p=path: library.Wizard('evt3').read(p)
                    ),
                    'numpy': lambda w=words: numpy_evt3(w),
                },
            )


def packet_cases(random: np.random.Generator) -> Iterator[KernelCase]:
    """Many small messages, as drivers send them when little happens."""
    words = evt3_isolated(50_000, random)
    parts = np.split(words[: len(words) // 100 * 100], 100)
    packets = [packet('evt3', part, SENSOR_HW, seq=seq) for seq, part in enumerate(parts)]

    def decode() -> list[Events]:
        decoder = EventDecoder()
        return [decoder.decode(message, 'evt3') for message in packets]

    def feed(evt3: Any) -> list[Any]:
        decoder = evt3.Decoder(1280, 720)
        return [decoder.feed(message.events) for message in packets]

    count = sum(map(len, decode()))
    yield KernelCase('EVT3, 100 packets of 2 kB', count, decode, {'evt3': peer('evt3', feed)})


def other_format_cases(random: np.random.Generator) -> Iterator[KernelCase]:
    count, sensor_hw = 250_000, (260, 346)
    x = random.integers(0, 346, count).astype(np.uint64)
    y = random.integers(0, 260, count).astype(np.uint64)
    polarity = random.integers(0, 2, count).astype(np.uint64)
    time = np.sort(random.integers(0, 10_000, count)).astype(np.uint64)
    u64 = np.uint64
    libcaer = u64(1) | polarity << u64(1) | y << u64(2) | x << u64(17) | time << u64(32)
    mono = time | x << u64(32) | y << u64(48) | polarity << u64(63)
    evt2 = polarity << u64(28) | (time & u64(63)) << u64(22) | x << u64(11) | y
    evt2[::100] = u64(8) << u64(28) | time[::100] >> u64(6)
    cmp_words = libcaer_cmp(20_000, 0.4, random)
    for encoding, words, peers in (
        ('libcaer_cmp', cmp_words, {}),
        ('libcaer', libcaer, {'numpy': lambda: numpy_libcaer(libcaer)}),
        ('mono', mono, {'numpy': lambda: numpy_mono(mono)}),
        ('evt2', evt2.astype(np.uint32), {}),
    ):
        decode = decode_anew(encoding, words, sensor_hw)
        yield KernelCase(encoding, len(decode()), decode, peers)


def count_cases(random: np.random.Generator) -> Iterator[KernelCase]:
    encoding = EventEncoding(30_000_000, 1)
    for size_hw in ((1080, 1920), SENSOR_HW, (320, 640)):
        camera = FULL_HD.scaled_to(size_hw)
        projector = EventProjector(EVENT_CAMERA, camera, np.eye(4), encoding)
        table = pixel_table(EVENT_CAMERA, camera, np.eye(4))
        for num_events in (10_000, 100_000, 1_000_000):
            events = Events(
                random.integers(0, 1280, num_events).astype(np.uint16),
                random.integers(0, 720, num_events).astype(np.uint16),
                np.sort(random.integers(0, 30_000_000, num_events)),
                random.integers(0, 2, num_events).astype(np.uint8),
            )
            yield KernelCase(
                f'counts, {num_events} events, 720p to {size_hw[0]}p',
                num_events,
                lambda p=projector, e=events: p.raster(e),
                {
                    'np.add.at': lambda t=table, e=events, c=camera: add_at(e, t, c),
                    'np.bincount': lambda t=table, e=events, c=camera: bincount(e, t, c),
                    'tonic, not projected': tonic_frame(events),
                },
            )


def decode_anew(
    encoding: str, words: np.ndarray, sensor_hw: tuple[int, int]
) -> Callable[[], Events]:
    """Reads a whole message of the words with a new decoder."""
    message = packet(encoding, words, sensor_hw)
    return lambda: EventDecoder().decode(message, encoding)


def packet(encoding: str, words: np.ndarray, sensor_hw: tuple[int, int], seq: int = 0) -> Any:
    stamp = SimpleNamespace(sec=1_700_000_000, nanosec=1_000_000 * seq)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=''),
        height=sensor_hw[0],
        width=sensor_hw[1],
        seq=seq,
        time_base=0,
        encoding=encoding,
        is_bigendian=False,
        events=words.tobytes(),
    )


def peer(package: str, call: Callable) -> Callable[[], object] | str:
    """A call with the package, or why there is none."""
    if find_spec(package) is None:
        return f'{package} is not installed'
    module = import_module(package)
    return lambda: call(module)


def numpy_evt3(words: np.ndarray) -> tuple[np.ndarray, ...]:
    """Forward fills for what holds until another comes; single addresses and masks apart."""
    kind, value = words >> 12, words & 0xFFF
    index = np.arange(len(words))

    def latest(where):
        return np.maximum.accumulate(np.where(where, index, 0))

    row = value[latest(kind == 0)] & 0x7FF
    time = (value[latest(kind == 8)].astype(np.int64) << 12) | value[latest(kind == 6)]
    single = np.flatnonzero(kind == 2)
    masked = np.flatnonzero((kind == 4) | (kind == 5))
    base_at = latest(kind == 3)[masked]
    steps = np.cumsum(np.where(kind == 4, 12, np.where(kind == 5, 8, 0)))
    begin = (value[base_at] & 0x7FF) + steps[masked - 1] - steps[base_at]
    bits = (value[masked, None] >> np.arange(12)) & 1
    which, offset = np.nonzero(bits)
    at = np.concatenate([single, masked[which]])
    x = np.concatenate([value[single] & 0x7FF, begin[which] + offset])
    polarity = np.concatenate([value[single] >> 11, value[base_at][which] >> 11])
    order = np.argsort(at, kind='stable')
    return x[order], row[at[order]], time[at[order]], polarity[order]


def numpy_libcaer(words: np.ndarray) -> tuple[np.ndarray, ...]:
    address = (words & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    t_ns = (words >> np.uint64(32)).astype(np.int64) * 1000
    x, y = (address >> 17).astype(np.uint16), (address >> 2 & 0x7FFF).astype(np.uint16)
    inside = (x < 346) & (y < 260)
    polarity = (address >> 1 & 1).astype(np.uint8)
    return x[inside], y[inside], t_ns[inside], polarity[inside]


def numpy_mono(words: np.ndarray) -> tuple[np.ndarray, ...]:
    x = (words >> np.uint64(32)).astype(np.uint16)
    y = (words >> np.uint64(48)).astype(np.uint16) & np.uint16(0x7FFF)
    inside = (x < 346) & (y < 260)
    t_ns, polarity = (words & np.uint64(0xFFFFFFFF)).astype(np.int64), words >> np.uint64(63)
    return x[inside], y[inside], t_ns[inside], polarity[inside]


def add_at(events: Events, table: np.ndarray, camera: CameraModel) -> np.ndarray:
    """As most event tutorials do it."""
    pixel = table[events.y, events.x]
    kept = pixel >= 0
    counts = np.zeros((camera.size_hw[0] * camera.size_hw[1], 3), np.float32)
    np.add.at(counts, (pixel[kept], 1 - events.polarity[kept]), 1)
    return counts


def bincount(events: Events, table: np.ndarray, camera: CameraModel) -> np.ndarray:
    pixel = table[events.y, events.x]
    kept = pixel >= 0
    place = 2 * pixel[kept] + (1 - events.polarity[kept])
    return np.bincount(place, minlength=2 * camera.size_hw[0] * camera.size_hw[1])


def tonic_frame(events: Events) -> Callable[[], object] | str:
    """Counts on the sensor, without the camera's plane."""
    structured = np.zeros(len(events), [('x', 'i2'), ('y', 'i2'), ('t', 'i8'), ('p', 'i1')])
    structured['x'], structured['y'] = events.x, events.y
    structured['t'], structured['p'] = events.t_ns, events.polarity
    height, width = SENSOR_HW
    return peer(
        'tonic',
        lambda tonic: import_module('tonic.transforms').ToFrame(
            sensor_size=(width, height, 2), n_time_bins=1
        )(structured),
    )
