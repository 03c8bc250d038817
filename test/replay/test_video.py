"""The video plays at the pace of the drive, and its panels fit images of any size."""

from dataclasses import replace

import cv2
from mle_sam_ros.replay.report.tiles import BACKGROUND, MODALITY_COLOURS
from mle_sam_ros.replay.score.evaluation import Moment
from mle_sam_ros.replay.viewing.video import Video
from mle_sam_ros.replay.viewing.video_panel import PANEL_HW, video_panel
import numpy as np
import pytest
from sample_frames import FRAME, MANIFEST, sample_frames

MS = 1_000_000


def moment_of(frame, miou=0.5, conditions=('night',)) -> Moment:
    return Moment(
        frame.stamp_ns, frame.present, frame.router_weights, frame.latency_ms, miou, conditions
    )


def panel_of(frame, **found) -> np.ndarray:
    return video_panel(frame, moment_of(frame, **found), MANIFEST, 0)


def resized(frame, height, width):
    """The frame with images of another size."""
    maps = {
        name: cv2.resize(getattr(frame, name), (width, height), interpolation=cv2.INTER_NEAREST)
        for name in ('label_map', 'confidence', 'truth', 'image')
    }
    return replace(frame, **maps)


def played(path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    pictures = []
    while (picture := capture.read())[0]:
        pictures.append(picture[1][:, :, ::-1])
    return pictures


def filmed(path, stamps_ms, panels=None) -> list[np.ndarray]:
    video = Video(path)
    panels = panels or [
        np.full((32, 64, 3), 12 * index, np.uint8) for index in range(len(stamps_ms))
    ]
    for stamp_ms, panel in zip(stamps_ms, panels, strict=True):
        video.add(stamp_ms * MS, panel)
    video.close()
    return played(path)


def shown(pictures) -> list[int]:
    return [round(picture.mean() / 12) for picture in pictures]


def test_a_video_keeps_to_its_stamps(tmp_path):
    # Lost frames between 100 and 500.
    pictures = filmed(tmp_path / 'a.mp4', (0, 50, 100, 500, 600))
    assert shown(pictures) == [0, 1, *[2] * 8, 3, 3, 4]


def test_a_faster_camera_is_thinned_out(tmp_path):
    pictures = filmed(tmp_path / 'a.mp4', range(0, 200, 10))
    assert shown(pictures) == [4, 9, 14, 19]


def test_a_clock_that_jumps_makes_no_film_of_days(tmp_path):
    day_ms = 24 * 3600 * 1000
    pictures = filmed(tmp_path / 'a.mp4', (0, 50, day_ms, day_ms + 50, 100, 150))
    assert shown(pictures) == [0, *[1] * 200, 2, 4, 5]


def test_a_panel_is_played_as_it_was_drawn(tmp_path):
    panel = panel_of(FRAME)
    (picture,) = filmed(tmp_path / 'a.mp4', (0,), [panel])
    assert picture.shape == (*PANEL_HW, 3)
    assert np.abs(picture.astype(int) - panel).mean() < 6


@pytest.mark.parametrize(('height', 'width'), [(81, 163), (240, 101), (2, 3), (37, 911)])
def test_images_of_odd_sizes_are_neither_cut_nor_stretched(height, width):
    frame = resized(FRAME, height, width)
    frame = replace(frame, label_map=np.full((height, width), 8, np.uint8), image=None)
    panel = panel_of(frame)
    assert panel.shape == (*PANEL_HW, 3)
    mask = (panel[40:520, :960] == MANIFEST.palette[8]).all(axis=2)
    rows, columns = mask.any(axis=1).sum(), mask.any(axis=0).sum()
    assert mask.sum() == rows * columns
    scale = min(480 / height, 960 / width)
    assert (rows, columns) == (round(height * scale), round(width * scale))


def test_errors_truth_and_absent_sensors_are_told():
    panel = panel_of(FRAME)
    error, truth = panel[560:680, 640:960], panel[560:680, 960:]
    assert error.std() > 10
    assert truth.std() > 10
    blind = replace(FRAME, truth=None)
    unknown = panel_of(blind, miou=float('nan'))[560:680, 640:]
    assert np.abs(unknown.astype(int) - BACKGROUND).max() <= 8
    # Present sensors stand in the head with their colours.
    for index, shade in enumerate(MODALITY_COLOURS[:3]):
        swatch = (panel[15:28, 600 + 170 * index : 614 + 170 * index] == shade).all(axis=2)
        assert swatch.any()
    absent = next(frame for frame in sample_frames(4) if 'lidar' not in frame.present)
    assert not (panel_of(absent)[15:28, 940:954] == MODALITY_COLOURS[2]).all(axis=2).any()
