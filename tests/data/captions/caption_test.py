# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pytest

from mmv_tf.data.captions import Caption, attach_labels


def test_attach_labels():
    captions = [Caption(0.0, 1.0, "a"), Caption(5.0, 6.0, "a")]
    labelled = [
        Caption(5.04, 6.0, "a", "late"),
        Caption(0.0, 0.96, "a", "early"),
        Caption(9.0, 10.0, "unused", "x"),
    ]
    assert [c.label for c in attach_labels(captions, labelled)] == ["early", "late"]
    assert attach_labels(captions, labelled)[1].start == 5.0
    with pytest.raises(ValueError, match=r"5.000-6.000 s 'a' has no label"):
        attach_labels(captions, labelled[1:])
    with pytest.raises(ValueError, match="has no label"):
        attach_labels([Caption(5.0, 6.06, "a")], labelled)
