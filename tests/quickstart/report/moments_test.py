# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The moments of a sentence: their order, and which is right."""

import pathlib

import numpy as np

from mmv_tf.quickstart.report import moments
from tests.quickstart.report.made_runs import make_run


def test_narrations_have_their_moments_in_order_and_the_right_one_marked():
    run = make_run()
    found = moments.narrations(run)
    assert [query.sentence for query in found] == [
        f"narration {n}" for n in (2, 3, 6, 7, 10, 11, 14, 15)
    ]
    test = run.test_clips()
    text, video = (
        test[name] / np.linalg.norm(test[name], axis=1, keepdims=True)
        for name in ("text/vat", "video/vat")
    )
    for index, query in enumerate(found):
        scores = video @ text[index]
        assert query.count == 8 and query.rank == (scores >= scores[index]).sum()
        shown = [moment.score for moment in query.moments[: moments.BEST]]
        np.testing.assert_allclose(shown, np.sort(scores)[::-1][: moments.BEST], rtol=1e-5)
        right = [moment for moment in query.moments if moment.is_right]
        assert [(m.caption, m.place) for m in right] == [(query.sentence, query.rank)]
    assert [query.rank for query in found][:5] == [1] * 5
    assert found[5].rank > 1 and not found[5].moments[0].is_right


def test_a_right_moment_that_ties_comes_after_its_equals():
    run = make_run(order=range(8))
    run.embeddings["video/vat"][3] = run.embeddings["video/vat"][2]
    query = moments.narrations(run)[0]
    assert query.rank == 2
    assert [moment.is_right for moment in query.moments] == [False, True, False, False]


def test_answers_do_not_claim_to_know_what_is_right():
    (answer,) = moments.answers(make_run())
    assert answer.rank is None and answer.count == 8
    assert [moment.is_right for moment in answer.moments] == [None]


def test_the_film_has_a_relative_address(tmp_path):
    page = tmp_path / "work" / "report.html"
    film = tmp_path / "my films" / "100% #1?.mp4"
    assert moments.film_address(film, page) == "../my%20films/100%25%20%231%3F.mp4"
    assert moments.film_address(page.parent / "downloads" / "bbb.mp4", page) == "downloads/bbb.mp4"
    assert moments.film_address(pathlib.Path("film.mp4"), pathlib.Path("report.html")) == "film.mp4"
