"""Bad frames that belong together are one episode, as far as they stay bad."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from mle_sam_ros.replay.report.causes import Finding
from mle_sam_ros.replay.report.episodes import Episode, find_episodes
import numpy as np

PERIOD_S = 0.25


def cause(text, *, first, last, count):
    """A finding that costs 30 points, and holds in some of the frames."""
    holds = np.zeros(count, bool)
    holds[first : last + 1] = True
    return Finding(text, holds, 0.4, 0.7)


def found(scores, frames, findings=()):
    scores = np.array(scores)
    return find_episodes(frames, scores, PERIOD_S * np.arange(len(scores)), findings)


def test_an_episode_reaches_as_far_as_it_is_bad():
    scores = [0.8] * 6 + [0.5, 0.2, 0.3, 0.4] + [0.8] * 6
    assert found(scores, [7]) == [Episode(7, 9, (7,), '')]  # the mean is 0.69: below 0.445


def test_bad_frames_of_one_episode_are_shown_as_one():
    scores = [0.8] * 8 + [0.3] * 8 + [0.8] * 8
    assert found(scores, [8, 12, 15]) == [Episode(8, 15, (8, 12, 15), '')]


def test_only_a_recovery_of_a_second_ends_it():
    short, long = [0.8] * 3, [0.8] * 4
    assert found([0.8] * 9 + [0.2, *short, 0.3], [9, 13]) == [Episode(9, 13, (9, 13), '')]
    apart = found([0.8] * 9 + [0.2, *long, 0.3], [9, 14])
    assert [(item.first, item.last) for item in apart] == [(9, 9), (14, 14)]


def test_frames_without_ground_truth_are_no_recovery():
    unknown = [np.nan] * 12
    assert found([0.8] * 9 + [0.2, *unknown, 0.3], [9, 22]) == [Episode(9, 22, (9, 22), '')]


def test_neighbours_of_different_causes_are_told_apart():
    scores = [0.8] * 8 + [0.2] * 8 + [0.3] * 8 + [0.8] * 8
    findings = [
        cause('lidar absent', first=8, last=15, count=32),
        cause('dark image', first=16, last=31, count=32),
    ]
    assert found(scores, [8, 12, 16, 20], findings) == [
        Episode(8, 15, (8, 12), 'lidar absent'),
        Episode(16, 23, (16, 20), 'dark image'),
    ]


def test_a_shallow_episode_leaves_out_a_worse_one_of_another_cause():
    scores = [0.8] * 8 + [0.5] * 6 + [0.1] * 6 + [0.5] * 6 + [0.8] * 8
    findings = [cause('camera absent', first=14, last=19, count=34)]
    assert found(scores, [14, 8, 20], findings) == [
        Episode(14, 19, (14,), 'camera absent'),
        Episode(8, 13, (8,), ''),
        Episode(20, 25, (20,), ''),
    ]


def test_the_worst_frame_alone_is_listed_whatever_it_scores():
    assert found([0.8] * 5, [0, 4]) == [Episode(0, 4, (0,), '')]
    assert found([0.8] * 9 + [0.79, 0.5], [10, 9]) == [Episode(10, 10, (10,), '')]
    assert found([0.8], [0]) == [Episode(0, 0, (0,), '')]
    assert found([], []) == []


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.7, 0.8, np.nan]), max_size=60))
def test_episodes_hold_their_frames_and_no_frame_twice(scores):
    known = [index for index, score in enumerate(scores) if not np.isnan(score)]
    frames = sorted(known, key=lambda index: (scores[index], index))[:8]
    episodes = found(scores, frames)
    shown = [index for episode in episodes for index in episode.frames]
    assert len(set(shown)) == len(shown)
    assert bool(episodes) == bool(frames)
    assert shown[:1] == frames[:1]
    for episode in episodes:
        assert all(episode.first <= index <= episode.last for index in episode.frames)
        assert list(episode.frames) == sorted(episode.frames, key=frames.index)
    ends = sorted((episode.first, episode.last) for episode in episodes)
    assert all(early[1] < late[0] for early, late in pairwise(ends))


def test_an_episode_says_what_is_bad_in_it():
    one = Episode(3, 5, (4,), 'lidar absent')
    assert one.touches(Episode(5, 9, (7,), 'lidar absent'))
    assert not one.touches(Episode(6, 9, (7,), 'lidar absent'))
    assert not one.touches(replace(one, cause=''))
