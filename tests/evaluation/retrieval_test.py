# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation import permutation_p_value, ranks, retrieval_metrics


def naive_ranks(queries, items):
    result = []
    for i, query in enumerate(queries):
        cosines = [
            np.float32(query / np.linalg.norm(query)) @ np.float32(item / np.linalg.norm(item))
            for item in items
        ]
        result.append(1 + sum(cosine >= cosines[i] for j, cosine in enumerate(cosines) if j != i))
    return np.array(result)


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_ranks_equal_the_oracle():
    queries, items = vectors(0, 23, 6), vectors(1, 23, 6)
    np.testing.assert_array_equal(ranks(queries, items), naive_ranks(queries, items))


def test_ties_count_against():
    items = np.eye(4, dtype=np.float32)[[0, 0, 0, 1]]
    np.testing.assert_array_equal(ranks(items, items), [3, 3, 3, 1])


def test_metrics_of_a_perfect_and_of_a_random_network():
    queries = vectors(2, 40, 8)
    perfect = retrieval_metrics(queries, queries, permutations=999)
    assert perfect["R@1"] == 1.0
    assert perfect["median_rank"] == 1.0
    assert perfect["p_value"] == pytest.approx(1 / 1000)
    assert perfect["chance/R@5"] == pytest.approx(5 / 40)
    assert perfect["chance/mean_rank"] == 20.5


def test_p_values_of_unrelated_embeddings_are_uniform():
    values = [
        permutation_p_value(vectors(seed, 12, 4), vectors(seed + 1000, 12, 4), permutations=99)
        for seed in range(60)
    ]
    assert 0.35 < np.mean(values) < 0.65
    assert np.mean(np.array(values) <= 0.1) < 0.25


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.fill(np.nan), "not finite"),
        (lambda x: x.__setitem__(0, np.inf), "not finite"),
        (lambda x: x.fill(1.0), "all the same"),
        (lambda x: x.__setitem__(1, 0.0), "are zero"),
    ],
)
def test_meaningless_embeddings_are_refused(spoil, message):
    queries, items = vectors(3, 5, 4), vectors(4, 5, 4)
    spoil(queries)
    with pytest.raises(ValueError, match=message):
        ranks(queries, items)


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="belongs to item"):
        ranks(vectors(0, 5, 4), vectors(0, 6, 4))
