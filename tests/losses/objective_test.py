# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import losses


def embeddings():
    generator = np.random.default_rng(0)

    def draw(*shape):
        return tf.constant(generator.normal(size=shape), tf.float32)

    return {
        "va/video": draw(5, 8),
        "va/audio": draw(5, 8),
        "vt/video": draw(5, 4),
        "vt/text": draw(5, 3, 4),
    }


def test_total_is_the_weighted_sum_and_counts_are_reported():
    values = embeddings()
    valid = {
        "video": tf.ones([5], tf.bool),
        "audio": tf.constant([True, True, False, True, True]),
        "text": np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]], bool),
    }
    total, terms, counts = losses.Objective({"va": 1.0, "vt": 10.0})(values, valid)
    np.testing.assert_allclose(
        terms["va"], losses.nce(values["va/video"], values["va/audio"], valid=valid["audio"])
    )
    np.testing.assert_allclose(
        terms["vt"],
        losses.mil_nce(values["vt/video"], values["vt/text"], candidate_valid=valid["text"]),
    )
    np.testing.assert_allclose(total, terms["va"] + 10 * terms["vt"], rtol=1e-6)
    assert {pair: int(count) for pair, count in counts.items()} == {"va": 4, "vt": 3}


def test_only_what_has_weight_is_needed():
    objective = losses.Objective({"va": 1.0, "vt": 0.0})
    assert objective.pairs == ("va",)
    assert objective.modalities == ("video", "audio")


@pytest.mark.parametrize("weights", [{"tv": 1.0}, {"va": 0.0}, {}])
def test_wrong_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"Unknown pair|No pair"):
        losses.Objective(weights)


def test_textless_negatives_are_for_the_pairs_with_text():
    values = embeddings()
    valid = {
        "video": tf.ones([5], tf.bool),
        "audio": tf.constant([True, True, False, True, True]),
        "text": np.array([[1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]], bool),
    }
    weights = {"va": 1.0, "vt": 1.0}
    _, plain, _ = losses.Objective(weights)(values, valid)
    _, other, counts = losses.Objective(weights, textless_negatives=True)(values, valid)
    assert float(plain["va"]) == float(other["va"])
    expected = losses.mil_nce(
        values["vt/video"],
        values["vt/text"],
        candidate_valid=valid["text"],
        textless_negatives=True,
    )
    assert float(other["vt"]) == float(expected) > float(plain["vt"])
    assert int(counts["vt"]) == 3
