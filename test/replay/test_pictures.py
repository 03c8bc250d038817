"""Pictures show what they are said to show."""

from dataclasses import replace

import cv2
from mle_sam_ros.core.outputs import colour_label_map
from mle_sam_ros.replay.report import tiles
from mle_sam_ros.replay.report.pictures import overview
from mle_sam_ros.replay.report.scene import (
    CAMERA,
    CONFIDENCE,
    decode_picture,
    MASK,
    scene_of,
    TRUTH,
)
import numpy as np
from sample_frames import FRAME, MANIFEST


def test_overview_has_the_tiles_in_their_places():
    scene = scene_of(FRAME, MANIFEST, 0.5)
    sheet = overview([scene, scene], MANIFEST, 0)
    tile_hw = (208, 416)
    for x, name in ((16, CAMERA), (-432, TRUTH)):
        tile = cv2.resize(
            decode_picture(scene.pictures[name]), tile_hw[::-1], interpolation=cv2.INTER_AREA
        )
        columns = slice(x, x + 416)
        rows = [
            row for row in range(len(sheet) - 208)
            if np.array_equal(sheet[row : row + 208, columns], tile)
        ]  # fmt: skip
        assert len(rows) == 2


def test_absent_sensors_are_blank():
    alone = replace(FRAME, image=None, rasters={}, present=frozenset({'event'}), truth=None)
    blank = tiles.blank_tile((80, 160))
    assert np.array_equal(tiles.camera_tile(alone, (80, 160)), blank)
    assert np.array_equal(tiles.truth_tile(alone, MANIFEST, (80, 160)), blank)
    assert np.array_equal(tiles.raster_tile(alone, MANIFEST.modalities[2], (80, 160)), blank)
    mask = tiles.mask_tile(alone, MANIFEST, alone.label_map.shape)
    assert np.array_equal(mask, colour_label_map(alone.label_map, MANIFEST.palette))
    scene = scene_of(alone, MANIFEST, np.nan)
    assert set(scene.pictures) == {MASK, CONFIDENCE}
    assert overview([scene], MANIFEST, 0).ndim == 3


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


def test_the_colours_of_events_are_mixed_by_their_numbers():
    counts = np.random.default_rng(3).integers(0, 9, (20, 30, 3), np.uint8)
    strength = np.array([0, 0.6, 0.8, 1])[np.minimum(counts, 3)]
    expected = np.array(tiles.BACKGROUND) + strength[:, :, :1] * (255, 170, 60)
    expected = np.minimum(expected + strength[:, :, 1:2] * (70, 150, 255), 255)
    assert np.abs(tiles.event_picture(counts) - expected).max() <= 1


def test_weights_share_a_bar():
    bar = tiles.weight_bar([0.25, 0.0, 0.75], [(1, 1, 1), (2, 2, 2), (3, 3, 3)], (2, 100))
    assert np.bincount(bar[0, :, 0]).tolist() == [0, 25, 0, 75]
