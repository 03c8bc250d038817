"""Causes are made of facts that the data shows, and ranked by what they cost."""

from dataclasses import replace

from mle_sam_ros.replay.report.causes import causes_in, find_causes
from mle_sam_ros.replay.report.signs import Sign, Signs
from mle_sam_ros.replay.score.evaluation import Moment
import numpy as np
import pytest
from sample_frames import FRAME, MANIFEST

NAMES = MANIFEST.modality_names
SECOND_NS = 1_000_000_000
WEIGHTS = np.full((3, 3), 1 / 3, np.float32)


def moments_of(scores, absent=None):
    """One each second."""
    return [
        Moment(
            index * SECOND_NS, frozenset(NAMES) - {(absent or {}).get(index)}, WEIGHTS, 10.0, score
        )
        for index, score in enumerate(scores)
    ]


def found(scores, absent=None, timeline=(), signs=()):
    scores = np.array(scores)
    return find_causes(moments_of(scores, absent), scores, signs, timeline, 0, NAMES)


def entry(kind, name, from_s, to_s):
    return {'kind': kind, 'name': name, 'from_s': from_s, 'to_s': to_s}


def test_an_absent_sensor_is_a_cause_where_it_costs():
    findings = found([0.8, 0.3, 0.7, 0.8], {1: 'lidar', 2: 'event'})
    assert [item.text for item in findings] == ['lidar absent', 'event absent']
    assert findings[0].score_with == pytest.approx(0.3)
    assert findings[0].score_without == pytest.approx(0.8)  # of frames without any trouble
    assert [item.text for item in causes_in(findings, 1)] == ['lidar absent']
    assert [item.text for item in causes_in(findings, 2)] == ['event absent']
    assert causes_in(findings, 0) == []


def test_what_the_recording_notes_and_what_was_injected_are_facts():
    timeline = [
        entry('condition', 'night', 0, 4),
        entry('failure', 'over_exposure', 1, 2),
        entry('injected', 'lidar:delay=0.1', 2, 4),
        entry('absent', 'lidar', 0, 4),  # the frames say that themselves
    ]
    findings = found([0.8, 0.3, 0.4, 0.8], timeline=timeline)
    texts = [item.text for item in findings]
    assert texts[:2] == [
        'over exposure (noted in the recording)',
        'lidar messages 100 ms late (injected)',
    ]
    assert [item.text for item in causes_in(findings, 1)] == texts[:1]
    night = next(item for item in findings if item.text == 'condition night')
    assert np.isnan(night.drop)  # no frame without it to compare with
    assert not night.is_cause


def test_an_entry_ends_before_its_end_but_with_the_drive():
    timeline = [entry('failure', 'motion_blur', 1, 2), entry('failure', 'over_exposure', 2, 3)]
    findings = {item.text.split(' (')[0]: item for item in found([0.5] * 4, timeline=timeline)}
    assert findings['motion blur'].holds.tolist() == [False, True, False, False]
    assert findings['over exposure'].holds.tolist() == [False, False, True, True]


def test_several_causes_come_by_what_they_cost():
    blur = Sign('blurred', np.array([False, True, True, False]))
    findings = found([0.8, 0.1, 0.5, 0.8], {1: 'camera'}, signs=[blur])
    assert [item.text for item in causes_in(findings, 1)] == ['camera absent', 'blurred']
    assert [item.text for item in causes_in(findings, 2)] == ['blurred']


def test_what_was_injected_comes_before_its_traces():
    dazzled = Sign('over-exposed image', np.array([False, True, True, False, False]))
    timeline = [entry('injected', 'camera:exposure=4', 1, 3)]
    findings = found([0.8, 0.2, 0.3, 0.8, 0.8], timeline=timeline, signs=[dazzled])
    texts = ['camera exposure off by +4 stops (injected)', 'over-exposed image']
    assert [item.text for item in causes_in(findings, 1)] == texts
    # But it is not blamed for what costs far more.
    findings = found([0.8, 0.1, 0.7, 0.8, 0.8], {1: 'camera'}, timeline, [dazzled])
    assert causes_in(findings, 1)[0].text == 'camera absent'


def test_a_fact_is_judged_by_frames_in_which_it_comes_alone():
    blur = Sign('blurred', np.array([True, True, False, False, False]))
    findings = found([0.1, 0.79, 0.3, 0.8, 0.8], {0: 'camera', 2: 'camera'}, signs=[blur])
    # The mask is bad for want of the camera, whether or not the image before was blurred.
    assert [item.text for item in causes_in(findings, 0)] == ['camera absent']
    assert findings[0].score_with == pytest.approx(0.3)


def test_where_nothing_is_calm_the_other_frames_compare():
    findings = found([0.4, 0.8], {0: 'camera', 1: 'lidar'})
    assert (findings[0].score_with, findings[0].score_without) == (0.4, 0.8)
    assert [item.text for item in causes_in(findings, 0)] == ['camera absent']
    assert causes_in(findings, 1) == []


def test_a_fact_holds_around_a_frame_as_long_as_it_does_not_break():
    [finding] = found([0.5] * 7, dict.fromkeys((0, 1, 3, 4, 6), 'lidar'))
    spans = {index: finding.around(index) for index in (0, 1, 3, 4, 6)}
    assert spans == {0: (0, 1), 1: (0, 1), 3: (3, 4), 4: (3, 4), 6: (6, 6)}


def test_frames_without_ground_truth_do_not_count():
    findings = found([0.8, np.nan, 0.2, np.nan], {1: 'lidar', 2: 'lidar'})
    assert findings[0].score_with == pytest.approx(0.2)
    assert findings[0].score_without == pytest.approx(0.8)
    assert found([np.nan] * 3, {1: 'lidar'})[0].is_cause is False


def measured(frames):
    signs = Signs(NAMES)
    for frame in frames:
        signs.add(frame)
    return {sign.text: sign for sign in signs.found()}


def shown(image, **changes):
    rasters = {'event': np.ones((32, 64, 3), np.uint8), 'lidar': np.ones((32, 64, 3), np.float32)}
    ages_ms = {'camera': 0.0, 'event': 0.0, 'lidar': 60.0}
    return replace(FRAME, image=image, rasters=rasters | changes.pop('rasters', {}),
                   ages_ms=ages_ms | changes.pop('ages_ms', {}))  # fmt: skip


GREY = np.full((80, 160, 3), 120, np.uint8)


def test_exposure_is_measured_against_the_rest_of_the_drive():
    white, black = GREY.copy(), GREY.copy()
    white[:40], black[:60] = 255, 0
    signs = measured([*[shown(GREY)] * 6, shown(white), shown(black), shown(None)])
    assert set(signs) == {'over-exposed image', 'dark image'}
    assert signs['over-exposed image'].holds.tolist() == [False] * 6 + [True, False, False]
    assert signs['over-exposed image'].values[6] == 50
    assert signs['dark image'].holds.tolist() == [False] * 7 + [True, False]
    # A bright sky that is always there is no sign.
    sky = GREY.copy()
    sky[:20] = 255
    assert measured([shown(sky)] * 9) == {}


def test_stale_and_sparse_samples_are_signs():
    sparse = np.zeros((32, 64, 3), np.float32)
    sparse[:4] = 1
    signs = measured(
        [
            *[shown(GREY)] * 6,
            shown(GREY, ages_ms={'lidar': 180.0}),
            shown(GREY, rasters={'lidar': sparse}),
        ]
    )
    assert set(signs) == {'stale lidar', 'few LiDAR points'}
    assert signs['stale lidar'].holds.tolist() == [False] * 6 + [True, False]
    assert signs['stale lidar'].values[6] == 180
    assert signs['few LiDAR points'].holds.tolist() == [False] * 7 + [True]


def test_no_frames_show_no_signs():
    assert measured([]) == {}
    assert Signs(NAMES).confidences.shape == (0,)
