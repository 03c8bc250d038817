"""The scenes of a report are the right ones, whatever the length of the drive."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.replay.report import album as album_module
from mle_sam_ros.replay.report.album import Album, EvenScenes, WorstScenes
from mle_sam_ros.replay.report.episodes import find_episodes
from mle_sam_ros.replay.report.scene import decode_picture, ERROR, scene_of
from mle_sam_ros.replay.report.tiles import ERROR_SURE, ERROR_UNSURE
import numpy as np
import pytest
from sample_frames import FRAME, MANIFEST

ALL = frozenset({'camera', 'event', 'lidar'})
SECOND_NS = 1_000_000_000


@pytest.fixture(autouse=True)
def scenes_without_pictures(monkeypatch):
    monkeypatch.setattr(album_module, 'scene_of', lambda frame, *_: frame)


def evenly(presence, num_scenes):
    scenes = EvenScenes(MANIFEST, num_scenes)
    for index, present in enumerate(presence):
        scenes.add(replace(FRAME, stamp_ns=index, present=present), 0.5)
    return [scene.stamp_ns for scene in scenes.scenes]


@given(st.integers(1, 500), st.integers(1, 8))
def test_scenes_are_evenly_spaced(count, num_scenes):
    stamps = evenly([ALL] * count, num_scenes)
    assert len(stamps) == min(num_scenes, count)
    assert stamps == sorted(set(stamps))
    assert max(np.diff([0, *stamps, count - 1])) <= 2 * max(1, count / num_scenes)


def test_an_outage_is_shown_even_between_two_even_scenes():
    outage, flicker = ALL - {'camera'}, ALL - {'lidar'}
    presence = [ALL] * 70 + [outage] * 20 + [ALL] * 100 + [flicker] * 2 + [ALL] * 8
    assert set(evenly([ALL] * 200, 2)) & set(range(70, 90)) == set()
    assert len(set(evenly(presence, 2)) & set(range(70, 90))) == 1
    assert len(evenly(presence, 2)) == 3


def worst(values, num_scenes, period_ns):
    scenes = WorstScenes(MANIFEST, num_scenes)
    for index, value in enumerate(values):
        scenes.add(replace(FRAME, stamp_ns=index * period_ns), value, value)
    return [scene.stamp_ns for scene in scenes.scenes]


def worst_of_all(values, num_scenes, period_ns):
    """The same with all frames at hand."""
    ranked = sorted((value, index * period_ns) for index, value in enumerate(values))
    seconds, chosen = set(), []
    for _, stamp_ns in ranked:
        if stamp_ns // SECOND_NS not in seconds:
            seconds.add(stamp_ns // SECOND_NS)
            if all(abs(stamp_ns - other) >= SECOND_NS for other in chosen):
                chosen.append(stamp_ns)
    return chosen[:num_scenes]


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=300),
    st.integers(1, 4),
    st.sampled_from([SECOND_NS // 20, SECOND_NS // 3, 2 * SECOND_NS]),
)
def test_the_worst_are_what_they_were_with_all_frames_at_hand(values, num_scenes, period_ns):
    stamps = worst(values, num_scenes, period_ns)
    assert stamps[:num_scenes] == worst_of_all(values, num_scenes, period_ns)
    assert values[stamps[0] // period_ns] == min(values)


@pytest.mark.parametrize('seconds', [60, 600, 3000])
def test_a_long_trouble_does_not_hide_a_short_one(seconds):
    scores = np.full(4 * seconds, 0.8)
    scores[2 * seconds : 3 * seconds] = 0.1
    scores[40:48] = 0.5
    scores += 0.02 * np.sin(np.arange(len(scores)))  # no two alike
    stamps = worst(scores.tolist(), 6, SECOND_NS // 4)
    assert len(stamps) <= 16 + 32
    frames = [stamp_ns // (SECOND_NS // 4) for stamp_ns in stamps]
    long, short, *_ = find_episodes(frames, scores, np.arange(len(scores)) / 4, [])
    assert (long.first, long.last) == (2 * seconds, 3 * seconds - 1)
    assert (short.first, short.last) == (40, 47)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=300))
def test_no_stretch_of_a_drive_is_without_a_scene(values):
    """Every eighth of it has one, since it holds a whole share."""
    stamps = worst(values, 1, SECOND_NS)
    assert len(stamps) <= 1 + 32
    length = -(-len(values) // 8)
    shown = {stamp_ns // SECOND_NS for stamp_ns in stamps}
    for begin in range(0, len(values) - length + 1, length):
        assert shown & set(range(begin, begin + length))


def test_frames_with_ground_truth_come_before_the_unsure():
    album = Album(MANIFEST)
    album.add(replace(FRAME, confidence=np.zeros_like(FRAME.confidence)), np.nan)
    assert [scene.stamp_ns for scene in album.worst] == [0]
    album.add(replace(FRAME, stamp_ns=5 * SECOND_NS), 0.9)
    album.add(replace(FRAME, stamp_ns=7 * SECOND_NS), np.nan)
    assert [scene.stamp_ns for scene in album.worst] == [5 * SECOND_NS]


def test_an_error_map_is_yellow_to_red_where_the_mask_is_wrong():
    frame = replace(
        FRAME, label_map=FRAME.truth.copy(), confidence=np.zeros_like(FRAME.confidence)
    )
    frame.label_map[:40, :80] = 5
    frame.label_map[:40, 80:] = 5
    frame.confidence[:40, 80:] = 255
    error = decode_picture(scene_of(frame, MANIFEST, 0.5).pictures[ERROR]).astype(int)
    assert np.abs(error[5:35, 5:75] - ERROR_UNSURE).mean() < 8
    assert np.abs(error[5:35, 85:155] - ERROR_SURE).mean() < 8
    right = error[55:75, 5:155]
    assert right.max() < 120
    assert np.ptp(right, axis=2).max() < 25


def test_a_scene_names_what_it_loses_most_on():
    label_map = FRAME.truth.copy()
    label_map[FRAME.truth == 8] = 3
    losses = scene_of(replace(FRAME, label_map=label_map), MANIFEST, 0.5).losses
    names = MANIFEST.class_names
    assert {losses[0].name, losses[1].name} == {names[8], names[3]}
    lost = next(loss for loss in losses if loss.name == names[8])
    assert (lost.iou, lost.taken_for) == (0, names[3])
    assert lost.share == pytest.approx(np.mean(FRAME.truth == 8))
    assert losses[-1].iou == 1
