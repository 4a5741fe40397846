# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from mmv_tf.search import Embedder, Query, Searcher, confidence
from mmv_tf.search.confidence import Background, background, word
from mmv_tf.search.embedder import SOUND, VISION
from mmv_tf.search.exact import Term, best_of_each
from mmv_tf.search.mixing import embedded
from mmv_tf.search.queries import embed_query
from mmv_tf.search.similar import Similar
from tests.search.exact_test import unit


def test_the_best_of_each_query():
    """Against a loop, over more rows than a block has."""
    rows, queries = unit(5000, 8, seed=0).astype(np.float16), unit(7, 8, seed=1)
    usable = np.random.default_rng(0).random(5000) < 0.5
    excluded = [(2, 0, 3000), (3, 2047, 2050), (6, 0, 5000)]
    expected = rows.astype(np.float32) @ queries.T
    expected[~usable] = -np.inf
    for query, first, end in excluded:
        expected[first:end, query] = -np.inf
    found = best_of_each([Term(rows, queries.T, 1.0)], usable, excluded)
    np.testing.assert_allclose(found, expected.max(axis=0), atol=1e-6)
    assert found[6] == -np.inf


def test_confidence_is_the_share_of_lower_tops():
    known = Background(np.linspace(0.1, 1.0, 10, dtype=np.float32))
    assert [known.confidence(score) for score in (0.0, 0.55, 1.1)] == [0.0, 0.5, 1.0]
    assert [word(value) for value in (1.0, 0.96, 0.8, 0.1)] == [
        "very likely",
        "likely",
        "doubtful",
        "unlikely",
    ]


@pytest.fixture(scope="module")
def searcher(library):
    found = Searcher(library.index)
    found._embedder = library.embedder
    return found


def test_windows_elsewhere_are_the_background(library, searcher, monkeypatch):
    """Against a loop over windows: the best of those of other videos, or 2 s away."""
    monkeypatch.setattr(confidence, "_RELATED_SECONDS", 2.0)
    monkeypatch.setattr(confidence, "_LEAST_QUERIES", 5)
    query = Query("video", f"{library.videos / 'long.mp4'}@3.2-4.0")
    asked, view = embed_query(query, library.embedder), searcher._current()
    found = background(view, [asked], library.embedder)
    rows = [
        (video.name, segment.array("spans")[row, 0], segment.array(asked.matrix)[row])
        for video in view.index.manifest.videos
        for segment in [view.index.segments[video.segment]]
        for row in range(video.first, video.first + video.count)
    ]
    tops = []
    for name, start, vector in rows:
        others = [
            float(other.astype(np.float32) @ vector.astype(np.float32))
            for video, time, other in rows
            if video != name or abs(time - start) > 2.0
        ]
        tops.append(max(others))
    np.testing.assert_allclose(found.tops, np.sort(tops), atol=1e-5)


def test_an_image_and_audio_have_a_background(library, searcher, monkeypatch):
    monkeypatch.setattr(confidence, "_LEAST_QUERIES", 5)
    view, clip = searcher._current(), str(library.videos / "long.mp4")
    sound = Query("audio", f"{clip}@0.4-1.2", within=SOUND)
    found = background(view, [embed_query(sound, library.embedder)], library.embedder)
    assert 5 <= len(found.tops) <= view.index.manifest.rows
    frame = Query("video", f"{clip}@3.2-4.0")
    asked = dataclasses.replace(
        embed_query(frame, library.embedder),
        matrix="frames",
        kind="image",
        vector=np.zeros(128, np.float32),
    )
    assert background(view, [asked], library.embedder)


def test_a_model_that_knows_few_everyday_words_has_no_confidence(library, searcher):
    query = Query("text", "red square")
    asked = embed_query(query, library.embedder)
    assert background(searcher._current(), [asked], library.embedder) is None
    assert all(m.confidence is None for m in searcher.search([query], 2).moments)


def test_moments_have_the_confidence_of_their_scores(library, searcher, monkeypatch):
    """Sentences of words that the tiny model knows stand for unrelated ones."""
    sentences = ["red", "square", "falls", "the red square falls", "blue circle"]
    known = [text for text in sentences if library.embedder.encoder.network.known([text])[0]]
    vectors = np.stack([library.embedder.sentence(text)["vat"] for text in known])
    monkeypatch.setattr(Embedder, "everyday_sentences", {"vat": vectors})
    monkeypatch.setattr(confidence, "_LEAST_QUERIES", 1)
    fresh = Searcher(library.index)
    fresh._embedder = library.embedder
    answer = fresh.search([Query("text", "red", within=VISION)], 3)
    tops = [
        fresh.search([Query("text", text, within=VISION)], 1).moments[0].score for text in known
    ]
    for moment in answer.moments:
        expected = np.mean(np.array(tops) < moment.score - 1e-6)
        assert moment.confidence == pytest.approx(expected, abs=1 / len(known) + 1e-6)
    assert answer.nothing == (answer.moments[0].confidence < confidence.LEAST)


def test_the_background_of_sentences_can_be_computed_ahead(library, monkeypatch):
    vectors = library.embedder.sentence("red")["vat"][np.newaxis]
    monkeypatch.setattr(Embedder, "everyday_sentences", {"vat": vectors})
    monkeypatch.setattr(confidence, "_LEAST_QUERIES", 1)
    searcher = Searcher(library.index)
    searcher._embedder = library.embedder
    searcher.prepare()
    monkeypatch.setattr("mmv_tf.search.view.background", None)  # Not computed again.
    assert (
        searcher.search([Query("text", "red", within=VISION)], 1).moments[0].confidence is not None
    )
    Searcher(library.index / "nothing").prepare()


def test_several_queries_are_compared_with_combined_ones(library, searcher, monkeypatch):
    """Against a loop over all windows, with a negative weight, a clip and more like a moment."""
    monkeypatch.setattr(confidence, "_RELATED_SECONDS", 0.0)
    monkeypatch.setattr(confidence, "_LEAST_QUERIES", 5)
    clip = f"{library.videos / 'long.mp4'}@3.2-4.0"
    queries = [Query("video", clip), Similar("long.mp4", 0.0, 1.0, -0.5, VISION)]
    view = searcher._current()
    asked, _ = embedded(view, queries, lambda: library.embedder, None)
    assert [part.kind for part in asked] == ["video", "video"]
    found = background(view, asked, library.embedder)
    samples = list(confidence._samples(view, asked[0]))
    order = np.random.default_rng(1).permutation(len(samples))
    rows = [
        (video, row, segment.array(asked[0].matrix)[row].astype(np.float32))
        for video in view.index.manifest.videos
        for segment in [view.index.segments[video.segment]]
        for row in range(video.first, video.first + video.count)
    ]
    tops = []
    for one, other in zip(samples, (samples[at] for at in order), strict=True):
        tops.append(
            max(
                (float(vector @ one.vector) - 0.5 * float(vector @ other.vector)) / 1.5
                for video, row, vector in rows
                if not any(s.video == video and s.first <= row < s.end for s in (one, other))
            )
        )
    np.testing.assert_allclose(found.tops, np.sort(tops), atol=1e-5)
    moments = searcher.search(queries, 2).moments
    monkeypatch.setattr("mmv_tf.search.view._MOST_COMBINED", 1)
    assert searcher.search(queries, 2).moments[0].confidence is None
    assert all(0 <= moment.confidence <= 1 for moment in moments)
    assert searcher.search([Query("video", clip, -1.0)], 1).moments[0].confidence is None
