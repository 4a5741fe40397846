# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np

from mmv_tf.search.moments import Place, find_moments


def search(videos, limit, vector_of=None):
    """Moments of {name: scores}, with windows of two seconds, one starting each second."""
    known = {}
    for name, values in videos.items():
        starts = np.arange(len(values), dtype=np.float32)
        spans = np.stack([starts, starts + 2], axis=1)
        known[name] = (np.array(values, np.float32), spans)
    candidates = sorted(
        ((name, i) for name, values in videos.items() for i in range(len(values))),
        key=lambda at: -known[at[0]][0][at[1]],
    )
    return find_moments(candidates, known.__getitem__, limit, vector_of)


def test_neighbors_are_one_moment():
    (first, second) = search({"a": [0, 0, 0, 0.8, 0.9, 0.7, 0, 0, 0, 0, 0, 0.5, 0]}, 2)
    assert (first.start, first.end, first.best) == (3.0, 7.0, 4.0)
    assert first.score == np.float32(0.9)
    assert (second.start, second.end) == (11.0, 13.0)


def test_a_moment_reaches_a_window_beyond_its_best_one():
    scores = [0] * 20 + [0.7] * 30 + [0.9] + [0.7] * 30 + [0] * 20
    (moment,) = search({"a": scores}, 1)
    assert (moment.start, moment.best, moment.end) == (48.0, 50.0, 54.0)


def test_a_moment_ends_at_the_lowest_score_before_the_next_peak():
    (first, second) = search({"a": [0, 0, 0, 0.9, 0.6, 0.85, 0, 0, 0, 0]}, 2)
    assert (first.start, first.end) == (3.0, 6.0)
    assert second.score < 0.1  # The windows of the second peak overlap the first moment.


def test_like_moments_are_folded():
    rng = np.random.default_rng(0)
    vectors = {name: rng.standard_normal((9, 4)).astype(np.float32) for name in "ab"}
    vectors["b"][5] = vectors["a"][1] + 1e-3
    for array in vectors.values():
        array /= np.linalg.norm(array, axis=1, keepdims=True)
    videos = {"a": [0, 0.9, 0, 0, 0, 0.5, 0, 0, 0], "b": [0, 0, 0, 0, 0, 0.8, 0, 0, 0]}
    first, second = search(videos, 2, lambda video, window: vectors[video][window])
    assert (first.video, first.best) == ("a", 1.0)
    assert first.also == (Place("b", 5.0, 7.0),)
    assert (second.video, second.best, second.also) == ("a", 5.0, ())


def test_moments_do_not_overlap():
    scores = np.random.default_rng(0).random(60)
    moments = search({"a": scores, "b": scores[::-1]}, 50)
    for one in moments:
        for other in moments:
            if one is not other and one.video == other.video:
                assert one.end <= other.start or other.end <= one.start
    assert [m.score for m in moments] == sorted((m.score for m in moments), reverse=True)


def test_best_first_over_videos_and_no_more_than_asked():
    moments = search({"a": [0.1, 0.2], "b": [0.9, 0.1, 0.1, 0.1, 0.8]}, 2)
    assert [(m.video, m.best) for m in moments] == [("b", 0.0), ("b", 4.0)]


def test_windows_that_are_not_there_are_no_moments():
    moments = search({"a": [-np.inf, 0.5, -np.inf, -np.inf], "b": [-np.inf]}, 5)
    assert [(m.video, m.start, m.end) for m in moments] == [("a", 1.0, 3.0)]


def test_one_window():
    (moment,) = search({"a": [0.3]}, 5)
    assert (moment.start, moment.end) == (0.0, 2.0)


def test_negative_scores():
    moments = search({"a": [-0.9, -0.2, -0.9, -0.9, -0.9]}, 1)
    assert (moments[0].start, moments[0].end) == (1.0, 3.0)
