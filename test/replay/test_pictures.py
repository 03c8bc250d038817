"""Pictures show what they are said to show."""

from dataclasses import replace

import cv2
from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.core.outputs import colour_label_map
from mle_sam_ros.replay import tiles
from mle_sam_ros.replay.pictures import overview, Storyboard, video_panel
from mle_sam_ros.replay.video import Video
import numpy as np
import pytest
from sample_frames import FRAME, MANIFEST

ALL = frozenset({'camera', 'event', 'lidar'})


def shown(presence, num_frames):
    board = Storyboard(num_frames)
    for index, present in enumerate(presence):
        board.add(replace(FRAME, stamp_ns=index, present=present))
    return [frame.stamp_ns for frame in board.frames]


@given(st.integers(1, 500), st.integers(1, 8))
def test_a_storyboard_is_evenly_spaced(count, num_frames):
    stamps = shown([ALL] * count, num_frames)
    assert len(stamps) == min(num_frames, count)
    assert stamps == sorted(set(stamps))
    assert max(np.diff([0, *stamps, count - 1])) <= 2 * max(1, count / num_frames)


def test_an_outage_is_shown_even_between_two_even_frames():
    outage, flicker = ALL - {'camera'}, ALL - {'lidar'}
    presence = [ALL] * 110 + [outage] * 20 + [ALL] * 60 + [flicker] * 2 + [ALL] * 8
    assert set(shown([ALL] * 200, 2)) & set(range(110, 130)) == set()
    assert len(set(shown(presence, 2)) & set(range(110, 130))) == 1
    assert len(shown(presence, 2)) == 3


def test_overview_has_the_tiles_in_their_places():
    sheet = overview([FRAME, FRAME], MANIFEST, 0)
    tile_hw = (208, 416)
    camera = tiles.camera_tile(FRAME, tile_hw)
    rows = [
        row
        for row in range(len(sheet) - 208)
        if np.array_equal(sheet[row : row + 208, 16:432], camera)
    ]
    assert len(rows) == 2
    truth = tiles.truth_tile(FRAME, MANIFEST, tile_hw)
    assert np.array_equal(sheet[rows[0] : rows[0] + 208, -432:-16], truth)


def test_absent_sensors_are_blank():
    alone = replace(FRAME, image=None, rasters={}, present=frozenset({'event'}), truth=None)
    blank = tiles.blank_tile((80, 160))
    assert np.array_equal(tiles.camera_tile(alone, (80, 160)), blank)
    assert np.array_equal(tiles.truth_tile(alone, MANIFEST, (80, 160)), blank)
    assert np.array_equal(tiles.raster_tile(alone, MANIFEST.modalities[2], (80, 160)), blank)
    mask = tiles.mask_tile(alone, MANIFEST, alone.label_map.shape)
    assert np.array_equal(mask, colour_label_map(alone.label_map, MANIFEST.palette))
    assert overview([alone], MANIFEST, 0).ndim == 3


def test_lidar_is_red_near_and_blue_far():
    raster = np.zeros((1, 3, 3), np.float32)
    raster[0, :, 0] = [2.0, 70.0, 0.0]
    near, far, empty = tiles.lidar_picture(raster)[0].astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert tuple(empty) == tiles.BACKGROUND


def test_events_by_polarity():
    raster = np.zeros((1, 3, 3), np.uint8)
    raster[0, 0, 0] = raster[0, 1, 1] = 5
    brighter, darker, none = tiles.event_picture(raster)[0].astype(int)
    assert brighter[0] > brighter[2]
    assert darker[2] > darker[0]
    assert tuple(none) == tiles.BACKGROUND


def test_weights_share_a_bar():
    bar = tiles.weight_bar([0.25, 0.0, 0.75], [(1, 1, 1), (2, 2, 2), (3, 3, 3)], (2, 100))
    assert np.bincount(bar[0, :, 0]).tolist() == [0, 25, 0, 75]


def test_a_video_keeps_to_its_stamps(tmp_path):
    panel = video_panel(FRAME, MANIFEST, 0)
    assert panel.shape == (680, 1280, 3)
    video = Video(tmp_path / 'overlay.mp4')
    for stamp_ms in (0, 50, 100, 500, 600):  # lost frames between 100 and 500
        video.add(stamp_ms * 1_000_000, panel)
    video.close()
    capture = cv2.VideoCapture(str(tmp_path / 'overlay.mp4'))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    pictures = []
    while (picture := capture.read())[0]:
        pictures.append(picture[1])
    assert len(pictures) == 13
    assert np.abs(pictures[-1][:, :, ::-1].astype(int) - panel).mean() < 6
