"""What each kind of fault does to its stream, and that it leaves the others alone."""

from dataclasses import replace

import cv2
from event_formats import evt3_words
from fault_streams import contents, drive, inject, injection, of, packet
from mle_sam_ros.bags import messages
from mle_sam_ros.bags.arrived import Arrived
from mle_sam_ros.core.cloud import decode_cloud
from mle_sam_ros.core.event_decoder import EventDecoder
from mle_sam_ros.core.image import decode_image
from mle_sam_ros.core.rig import MISPLACED, Rig
from mle_sam_ros.core.settings import RigSettings
from mle_sam_ros.core.stamp import stamp_ns
import numpy as np
import pytest
from tiny_drive import MS, SIZE_HW, START, sweep


def times_ms(arrivals):
    return [(item.time_ns - START) / MS for item in arrivals]


def stamps_ms(arrivals):
    return [(stamp_ns(item.message.header) - START) / MS for item in arrivals]


@pytest.fixture(scope='module')
def clean():
    return drive()


@pytest.mark.parametrize(
    'text',
    [
        'lidar:drop=0', 'lidar:delay=0', 'lidar:jitter=0', 'lidar:freeze=0', 'lidar:stamp=0',
        'lidar:beams=0', 'lidar:rotate=0', 'lidar:shift=0:x', 'event:burst=0',
        'camera:exposure=0', 'camera:stamp=0', 'lidar:rate=10', 'lidar:drop=1@20-30',
    ],
)  # fmt: skip
def test_nothing_changes_nothing(clean, text):
    assert contents(inject(clean, text)) == contents(clean)


def test_an_outage_loses_what_falls_into_it(clean):
    left = inject(clean, 'lidar:drop=1@0.3-0.6')
    # Sweeps arrive 11 ms after each tenth of a second.
    assert stamps_ms(of(left, 'lidar')) == [0, 100, 200, 600, 700, 800, 900]
    assert len(of(left, 'camera')) == len(of(left, 'event')) == 10


def test_drop_loses_about_its_part():
    many = drive(200)
    lost = 200 - len(of(inject(many, 'camera:drop=0.25'), 'camera'))
    assert 30 < lost < 70
    other = inject(many, 'camera:drop=0.25', seed=1)
    assert stamps_ms(of(inject(many, 'camera:drop=0.25'), 'camera')) != stamps_ms(
        of(other, 'camera')
    )


def test_a_second_fault_of_a_kind_has_a_chance_of_its_own():
    many = drive(200)
    once, twice = inject(many, 'camera:drop=0.5'), inject(many, *2 * ['camera:drop=0.5'])
    assert len(of(twice, 'camera')) < 0.7 * len(of(once, 'camera'))


def test_delay_keeps_stamps_and_moves_arrivals(clean):
    late = inject(clean, 'camera:delay=0.15')
    assert stamps_ms(of(late, 'camera')) == [100 * n for n in range(10)]
    assert times_ms(of(late, 'camera')) == [100 * n + 160 for n in range(10)]
    assert times_ms(late) == sorted(times_ms(late))


def test_a_delay_that_ends_lets_messages_overtake(clean):
    late = inject(clean, 'camera:delay=0.25@0-0.3')
    assert stamps_ms(of(late, 'camera'))[:6] == [0, 300, 100, 400, 200, 500]


def test_jitter_delays_each_message_by_another_time(clean):
    late = of(inject(clean, 'event:jitter=0.3'), 'event')
    delays = np.array(times_ms(late)) - np.array(stamps_ms(late)) - 12
    assert 0 <= delays.min() < delays.max() < 300
    assert stamps_ms(late) != sorted(stamps_ms(late))
    assert len(late) == 10


@pytest.mark.parametrize(('rate', 'kept'), [(5, 10), (2.5, 5), (6, 12), (10, 20), (15, 20)])
def test_rate_thins_evenly(rate, kept):
    left = of(inject(drive(20), f'lidar:rate={rate}'), 'lidar')
    assert len(left) == kept
    steps = np.diff(stamps_ms(left))
    assert steps.max() - steps.min() <= 100


def test_a_jittering_sensor_of_that_rate_keeps_all_its_messages():
    random = np.random.default_rng(4)
    arrivals = [
        Arrived(START + n * 100 * MS + int(random.integers(-20, 20)) * MS, 'camera', n)
        for n in range(100)
    ]
    assert len(inject(arrivals, 'camera:rate=10')) >= 99


def test_freeze_repeats_content_under_new_stamps(clean):
    frozen = of(inject(clean, 'camera:freeze=1@0.25-0.55'), 'camera')
    originals = of(clean, 'camera')
    assert stamps_ms(frozen) == stamps_ms(originals)
    shown = [
        next(n for n, one in enumerate(originals) if one.message.data is item.message.data)
        for item in frozen
    ]
    assert shown == [0, 1, 2, 2, 2, 2, 6, 7, 8, 9]


def test_a_wrong_clock_moves_the_events_themselves(clean):
    early, right = inject(clean, 'event:stamp=-0.03'), clean
    assert times_ms(of(early, 'event')) == times_ms(of(right, 'event'))
    for one, other in zip(of(early, 'event'), of(right, 'event'), strict=True):
        moved, events = decoded(one.message), decoded(other.message)
        np.testing.assert_array_equal(moved.t_ns, events.t_ns - 30 * MS)
        np.testing.assert_array_equal(moved.x, events.x)


@pytest.mark.parametrize(
    ('name', 'kind', 'start', 'per_s'),
    [
        ('t', '<u4', 0, 1e9),
        ('time', '<f4', 0, 1.0),
        ('timestamp', '<f8', START / 1e9, 1.0),
        ('timestamp', '<f8', START, 1e9),
    ],
)
def test_a_wrong_clock_moves_the_times_of_points(name, kind, start, per_s):
    points = sweep(np.random.default_rng(0))
    layout = np.dtype([*points.dtype.descr, (name, kind)])
    timed = np.zeros(len(points), layout)
    for field in points.dtype.names:
        timed[field] = points[field]
    timed[name] = start + np.linspace(0, 0.1, len(points)) * per_s
    message = messages.point_cloud(timed, START, 'lidar')
    (moved,) = inject([Arrived(START + 100 * MS, 'lidar', message)], 'lidar:stamp=0.07')
    before, after = decode_cloud(message, 'lidar'), decode_cloud(moved.message, 'lidar')
    assert not after.time_fault
    np.testing.assert_allclose(after.time_ns - before.time_ns, 70 * MS, atol=300)
    assert stamp_ns(message.header) == START


def test_the_cameras_wrong_clock_is_a_wrong_offset(clean):
    one = injection('camera:stamp=0.05', 'lidar:stamp=1')
    assert one.settings(RigSettings()).alignment.camera.offset_ns == 50 * MS
    assert contents(inject(clean, 'camera:stamp=0.05')) == contents(clean)


def test_rotate_turns_the_sensor_where_it_stands():
    right = np.eye(4)
    right[:3, 3] = 1, 2, 3
    rig, changes = Rig({'lidar': right}), inject(drive(2), 'lidar:rotate=90:z')
    assert [item.stream for item in changes[:2]] == [MISPLACED, 'camera']
    rig.receive(MISPLACED, changes[0].message)
    expected = [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(rig.camera_from('lidar'), expected, atol=1e-12)


def test_misplacements_add_up_and_end():
    changes = of(
        inject(
            drive(10), 'lidar:shift=10:x@0.2-0.6', 'lidar:shift=-40:y@0.4-20', 'lidar_2:shift=5'
        ),
        MISPLACED,
    )
    lidar = [item for item in changes if item.message.stream == 'lidar']
    assert times_ms(lidar) == [200, 400, 600]
    moved = [item.message.error[:3, 3].tolist() for item in lidar]
    np.testing.assert_allclose(moved, [[0.1, 0, 0], [0.1, -0.4, 0], [0, -0.4, 0]])
    (other,) = [item for item in changes if item.message.stream == 'lidar_2']
    assert np.linalg.norm(other.message.error[:3, 3]) == pytest.approx(0.05)


def test_an_axis_by_chance_is_the_same_for_the_same_seed():
    def axis(seed):
        return inject(drive(1), 'lidar:shift=100', seed=seed)[0].message.error[:3, 3].tolist()

    assert axis(0) == axis(0) != axis(1)
    assert np.linalg.norm(axis(3)) == pytest.approx(1)


def decoded(message):
    return EventDecoder().decode(message, 'event')


def stream_of(packets):
    """All events of a stream's packets in one."""
    decoder = EventDecoder()
    return [decoder.decode(packet.message, 'event') for packet in packets], decoder


def test_a_burst_comes_on_top_of_what_was_seen(clean):
    flooded, decoder = stream_of(of(inject(clean, 'event:burst=1e5@0.35-0.75'), 'event'))
    seen, _ = stream_of(of(clean, 'event'))
    extra = [len(one) - len(other) for one, other in zip(flooded, seen, strict=True)]
    assert extra[:4] == [*extra[8:], 0, 0] == [0, 0, 0, 0]
    # 100 ms from packet to packet.
    np.testing.assert_allclose(extra[4:8], 1e4, rtol=0.05)
    assert decoder.counters.restarts == decoder.counters.rejected_packets == 0
    for one, other in zip(flooded, seen, strict=True):
        found = set(zip(one.t_ns, one.x, one.y, one.polarity, strict=True))
        assert found >= set(zip(other.t_ns, other.x, other.y, other.polarity, strict=True))
    whole = flooded[5]
    assert (whole.x.max(), whole.y.max()) == (SIZE_HW[1] - 1, SIZE_HW[0] - 1)
    assert set(whole.polarity) == {0, 1}


def test_a_burst_on_words_that_continue_one_another():
    items = []
    for number in range(6):
        start_us = 5_000_000 + number * 10_000
        words = evt3_words([(n % 9, n % 7, start_us + 50 * n, n % 2) for n in range(200)])
        message = messages.new_message(
            'event_camera_msgs/msg/EventPacket',
            header=messages.header(START + (number + 1) * 10 * MS, 'event'),
            height=260,
            width=346,
            seq=number,
            time_base=0,
            encoding='evt3',
            is_bigendian=False,
            events=np.array(words, '<u2').view(np.uint8),
        )
        items.append(Arrived(START + (number + 1) * 10 * MS, 'event', message))
    seen, _ = stream_of(items)
    flooded, decoder = stream_of(inject(items, 'event:burst=1e6@0.035-1'))
    assert decoder.to_mapping()['rejected_packets'] == decoder.to_mapping()['out_of_range'] == 0
    for one, other in zip(flooded[:3], seen[:3], strict=True):
        np.testing.assert_array_equal(one.t_ns, other.t_ns)
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.polarity, other.polarity)
    assert all(len(one) > 9000 for one in flooded[3:])
    times = np.concatenate([one.t_ns for one in flooded])
    assert (np.diff(times) >= 0).all()


def test_a_burst_of_a_cloud_stays_a_cloud():
    random, items = np.random.default_rng(2), []
    for number in range(4):
        events = decoded(packet(random, START + number * 10 * MS))
        cloud = messages.event_cloud(events, int(events.t_ns[0]), 'event')
        items.append(Arrived(START + number * 10 * MS, 'event', cloud))
    flooded, decoder = stream_of(inject(items, 'event:burst=1e5'))
    assert len(flooded[0]) == 40
    np.testing.assert_allclose([len(one) for one in flooded[1:]], 1040, rtol=0.15)
    assert max(int(one.x.max()) for one in flooded) < SIZE_HW[1]
    assert decoder.counters.rejected_packets == 0


@pytest.mark.parametrize('part', [0.25, 0.5, 1])
def test_lost_beams_give_no_points_at_any_time(part):
    random, items = np.random.default_rng(0), []
    for number in range(3):
        points = sweep(random, 640)
        layout = np.dtype([*points.dtype.descr, ('ring', '<u2')])
        ringed = np.zeros(640, layout)
        for field in points.dtype.names:
            ringed[field] = points[field]
        ringed['ring'] = np.arange(640) % 64
        message = messages.point_cloud(ringed, START, 'lidar')
        items.append(Arrived(START + number, 'lidar', message))
    left = [item.message for item in inject(items, f'lidar:beams={part}')]
    rings = [np.unique(np.frombuffer(item.data, layout)['ring']) for item in left]
    assert len(rings[0]) == pytest.approx(64 * (1 - part), abs=1)
    assert all(np.array_equal(rings[0], other) for other in rings)
    assert len(decode_cloud(left[0], 'lidar')) == 10 * len(rings[0])


def test_beams_without_rings_are_told_by_their_elevation():
    elevation = np.deg2rad(np.repeat(np.linspace(-24.75, 14.75, 80), 20))
    azimuth = np.tile(np.linspace(-3, 3, 20), 80)
    points = np.zeros(1600, [(name, '<f4') for name in 'xyz'])
    points['x'] = 9 * np.cos(elevation) * np.cos(azimuth)
    points['y'] = 9 * np.cos(elevation) * np.sin(azimuth)
    points['z'] = 9 * np.sin(elevation)
    points['x'][::7] = np.nan
    message = messages.point_cloud(points, START, 'lidar')
    (left,) = inject([Arrived(START, 'lidar', message)], 'lidar:beams=0.5')
    xyz = decode_cloud(left.message, 'lidar').xyz
    heights = np.unique(np.round(xyz[np.isfinite(xyz[:, 0]), 2], 4))
    assert len(heights) == pytest.approx(40, abs=2)


def test_exposure_is_a_matter_of_light():
    pixels = np.broadcast_to(np.array([0, 10, 60, 188, 255], np.uint8)[:, None], (1, 5, 3)).copy()
    message = messages.image(pixels, 'rgb8', START, 'camera')
    (more,) = inject([Arrived(START, 'camera', message)], 'camera:exposure=1')
    (less,) = inject([Arrived(START, 'camera', message)], 'camera:exposure=-1')
    brighter, darker = (decode_image(item.message, 'camera')[0, :, 0] for item in (more, less))
    # Half of the light of 255 is 188 in sRGB.
    np.testing.assert_allclose(brighter, [0, 20, 85, 255, 255], atol=3)
    assert darker[4] == 188
    assert (np.diff(darker.astype(int)) > 0).all()
    np.testing.assert_array_equal(decode_image(message, 'camera'), pixels)


def test_exposure_of_packed_and_of_grey_images():
    grey = np.full(SIZE_HW, 60, np.uint8)
    packed = cv2.imencode('.png', np.dstack([grey, grey, grey + 60]))[1].tobytes()
    for message in (
        messages.image(grey, 'mono8', START, 'camera'),
        messages.compressed_image(packed, 'png', START, 'camera'),
    ):
        (item,) = inject([Arrived(START, 'camera', message)], 'camera:exposure=2')
        before, after = (decode_image(m, 'camera') for m in (message, item.message))
        assert after.shape == before.shape
        assert (after > before).all()
        assert item.message.header == message.header


@pytest.mark.parametrize('text', ['camera:exposure=1', 'event:burst=1e5', 'lidar:beams=0.5'])
def test_what_cannot_be_read_passes_for_the_pipeline_to_tell(clean, text):
    stream = text.partition(':')[0]
    broken = {
        'camera': {'encoding': 'rgb99'}, 'event': {'encoding': 'morse'}, 'lidar': {'fields': []}
    }  # fmt: skip
    message = replace(of(clean, stream)[0].message, **broken[stream])
    (item,) = inject([Arrived(START, stream, message)], text)
    assert item.message is message


def test_noise_is_on_one_raster_in_its_window():
    random = np.random.default_rng(0)
    rasters = {
        'camera': random.integers(0, 256, (40, 60, 3), np.uint8),
        'lidar': random.uniform(0, 50, (40, 60, 3)).astype(np.float32),
    }
    one = injection('camera:noise=gaussian@1-2', 'lidar:noise=uniform@1-2')
    assert one.rasters(START, rasters) == rasters
    noisy = one.rasters(START + 1500 * MS, rasters)
    for name, raster in noisy.items():
        assert raster.dtype == rasters[name].dtype
        assert not np.array_equal(raster, rasters[name])
    assert np.std(noisy['camera'].astype(float) - rasters['camera']) == pytest.approx(40, abs=10)
    again = one.rasters(START + 1500 * MS, rasters)
    np.testing.assert_array_equal(again['lidar'], noisy['lidar'])
    later = one.rasters(START + 1600 * MS, rasters)
    assert not np.array_equal(later['lidar'], noisy['lidar'])
