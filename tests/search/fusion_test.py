# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import itertools
import random

import pytest

from mmv_tf.search.fusion import EVEN, FusionWeights, fused
from mmv_tf.search.moments import SAID, SEEN, Evidence, Moment


def moment(video, start, end, kind=SEEN, score=0.5):
    return Moment(video, start, end, score, start, found=(Evidence(kind, score),))


def said(video, start, end, score=1.0):
    return moment(video, start, end, SAID, score)


def places(moments):
    return [(m.video, m.start, m.end) for m in moments]


def test_the_first_of_both_is_one_moment_with_score_one():
    seen = [moment("a", 0, 2), moment("b", 0, 2)]
    (first, second) = fused(seen, [said("a", 1, 4)], EVEN, 10)
    assert (first.video, first.start, first.end, first.score) == ("a", 0, 4, pytest.approx(1.0))
    assert [evidence.kind for evidence in first.found] == [SEEN, SAID]
    assert second.video == "b" and second.score == pytest.approx(61 / 62 / 2)


def test_scores_are_those_of_the_formula():
    generator = random.Random(0)
    weights = FusionWeights(0.7, 1.9)
    seen = [moment(f"v{i}", 0, 1) for i in generator.sample(range(40), 20)]
    words = [said(f"v{i}", 0, 1) for i in generator.sample(range(40), 20)]
    expected = {}
    for weight, ranked in ((0.7, seen), (1.9, words)):
        for rank, one in enumerate(ranked, start=1):
            expected[one.video] = expected.get(one.video, 0) + weight / (60 + rank)
    found = fused(seen, words, weights, 100)
    best = sorted(expected, key=lambda video: -expected[video])
    assert [m.video for m in found] == best
    assert [m.score for m in found] == pytest.approx([expected[v] / (2.6 / 61) for v in best])
    assert fused(seen, words, weights, 3) == found[:3]


def test_no_moments_overlap():
    generator = random.Random(1)

    def some(make):
        starts = [generator.uniform(0, 100) for _ in range(30)]
        return [make("a", start, start + generator.uniform(1, 9)) for start in starts]

    found = fused(some(moment), some(said), EVEN, 100)
    for one, other in itertools.combinations(found, 2):
        assert one.end <= other.start or other.end <= one.start
    assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)


def test_a_weight_of_zero_leaves_a_list_out():
    seen, words = [moment("a", 0, 2)], [said("b", 0, 2)]
    assert places(fused(seen, words, FusionWeights(1, 0), 9)) == [("a", 0, 2)]
    assert places(fused(seen, words, FusionWeights(0, 1), 9)) == [("b", 0, 2)]


def test_weights():
    assert FusionWeights.parse("video=2,speech=0.5") == FusionWeights(2, 0.5)
    assert FusionWeights.parse(" speech=3") == FusionWeights(1, 3)
    for text in ("", "video", "video=x", "text=1", "video=1;speech=2", "1,2"):
        with pytest.raises(ValueError, match="expected, for example, video=1"):
            FusionWeights.parse(text)
    for values in ((-1, 1), (float("nan"), 1), (float("inf"), 1), (0, 0)):
        with pytest.raises(ValueError, match="at least 0, not both 0"):
            FusionWeights(*values)
