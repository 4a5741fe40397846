# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.search.answers import Answer
from mmv_tf.search.moments import HEARD, SAID, SEEN, Evidence, Moment


def moment(confidence, *found):
    evidence = tuple(Evidence(kind, score) for kind, score in found)
    return Moment("a.mp4", 0.0, 1.0, 0.5, 0.0, found=evidence, confidence=confidence)


@pytest.mark.parametrize(
    ("moments", "nothing", "kept"),
    [
        ([], False, 0),
        ([moment(0.95), moment(0.5)], False, 1),
        ([moment(0.85), moment(0.5)], True, 0),
        # A confidence that is not known says nothing.
        ([moment(None), moment(None)], False, 2),
        ([moment(0.5, (SEEN, 0.3)), moment(None, (SAID, 0.3))], True, 0),
        ([moment(0.5, (SEEN, 0.3)), moment(None, (SAID, 0.9))], False, 1),
        ([moment(0.5, (SEEN, 0.3), (SAID, 0.9))], False, 1),
        ([moment(0.5, (SEEN, 0.3), (SAID, 0.2))], True, 0),
        ([moment(None, (HEARD, 0.3))], False, 1),
    ],
)
def test_nothing_matches_well(moments, nothing, kept):
    answer = Answer(tuple(moments), (), False)
    assert answer.nothing == nothing
    assert len(answer.at_least(0.9).moments) == kept
