from types import SimpleNamespace

from mle_sam_ros.core.fusion_watch import FusionWatch
import numpy as np
import pytest

MODALITIES = ('camera', 'event', 'lidar')
ALL = frozenset(MODALITIES)
PICTURE = np.random.default_rng(1).integers(0, 256, (64, 128, 3), np.uint8)
USUAL = (0.9, 0.0, 0.1)


class Drive:
    """Predictions at 10 Hz on a scripted clock."""

    def __init__(self):
        self.watch, self.now_s = FusionWatch(MODALITIES), 1000.0

    def go_on(self, seconds, weights=USUAL, present=ALL, **rasters):
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            stamp_ns = round(self.now_s * 1e9)
            self.watch.observe(
                SimpleNamespace(
                    stamp_ns=stamp_ns,
                    router_weights=np.array([weights] * 3, np.float32),
                    present=present,
                    ages_ns=dict.fromkeys(present, 5_000_000),
                    rasters={name: rasters.get(name, PICTURE) for name in present},
                ),
                self.now_s,
            )
        return self.watch.contradictions(self.now_s, 5.0, ALL)


def test_a_drive_as_usual_contradicts_nothing():
    drive = Drive()
    assert drive.go_on(30) == []
    assert drive.go_on(30, weights=(0.72, 0.0, 0.28)) == []  # night falls
    fusion = drive.watch.fusion
    assert fusion.sets == 600
    assert fusion.served == dict.fromkeys(MODALITIES, 600)
    assert fusion.stamps_ns['lidar'] == fusion.stamp_ns - 5_000_000
    assert fusion.weights == pytest.approx({'camera': 0.72, 'event': 0.0, 'lidar': 0.28})
    assert 0.1 < fusion.usual_weights['lidar'] < 0.28


def test_a_sensor_that_loses_its_weight_is_told_after_a_while_and_forgiven_at_once():
    drive = Drive()
    drive.go_on(20)
    assert drive.go_on(4, weights=(1.0, 0.0, 0.004)) == []
    (sentence,) = drive.go_on(2, weights=(1.0, 0.0, 0.004))
    assert sentence == (
        'the router gives lidar 0.004, where 0.100 was usual, although it seems sound: '
        'check its calibration and timing'
    )
    assert drive.go_on(200, weights=(1.0, 0.0, 0.004)) == [sentence]  # never becomes usual
    assert drive.watch.contradictions(drive.now_s, 5.0, {'camera'}) == []
    assert drive.go_on(0.1) == []


def test_a_sensor_that_never_had_weight_is_not_missed():
    assert Drive().go_on(60, weights=(1.0, 0.0, 0.001)) == []


@pytest.mark.parametrize(
    ('name', 'raster'),
    [
        ('camera', np.full((64, 128, 3), 4, np.uint8)),
        ('lidar', np.zeros((64, 128, 3), np.float32)),
    ],
)
def test_trust_in_a_sensor_that_sees_nothing_is_told(name, raster):
    drive = Drive()
    assert drive.go_on(4, **{name: raster}) == []
    (sentence,) = drive.go_on(2, **{name: raster})
    assert f'gives {name} {USUAL[MODALITIES.index(name)]:.3f}, although its raster is' in sentence
    assert drive.go_on(0.1) == []


def test_an_event_camera_without_weight_may_see_nothing():
    assert Drive().go_on(20, event=np.zeros((64, 128, 3), np.uint8)) == []


def test_the_last_sensor_left_is_trusted_rightly():
    dark = np.zeros((64, 128, 3), np.uint8)
    camera_alone = frozenset({'camera'})
    assert Drive().go_on(20, (1.0, 0.0, 0.0), present=camera_alone, camera=dark) == []


def test_nothing_is_told_of_the_past():
    drive = Drive()
    assert drive.go_on(8, lidar=np.zeros((64, 128, 3), np.float32))
    assert drive.watch.contradictions(drive.now_s + 3, 5.0, ALL) == []
    assert FusionWatch(MODALITIES).contradictions(1.0, 5.0, ALL) == []
