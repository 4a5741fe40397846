# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation import (
    grouped_p_values,
    permutation_p_value,
    ranks,
    retrieval_metrics,
)


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


def scenes(seed, within=0.0, across=1.0, groups=6, each=4):
    """Queries and items that agree on the scene that they are of, and perhaps on more."""
    generator = np.random.default_rng(seed)
    scene = np.repeat(generator.normal(size=(groups, 16)), each, axis=0)
    detail = generator.normal(size=(groups * each, 16))
    noise = generator.normal(size=(2, groups * each, 16))
    pair = across * scene + within * detail + 0.5 * noise
    return (*pair.astype(np.float32), np.repeat(np.arange(groups), each))


def test_three_nulls_tell_the_scene_from_the_moment():
    scene = retrieval_metrics(*scenes(0)[:2], 999, groups=scenes(0)[2])
    assert scene["p_value"] < 0.01 and scene["p_value_blocks"] < 0.02
    assert scene["p_value_within_blocks"] > 0.1
    moment = retrieval_metrics(*scenes(1, 1.0)[:2], 999, groups=scenes(1, 1.0)[2])
    assert moment["p_value_within_blocks"] < 0.01


def test_free_permutations_of_grouped_items_are_too_sure():
    """Scenes that agree by chance alone; blocks keep the level, free permutations do not."""
    free, blocks = [], []
    for seed in range(60):
        first, _, groups = scenes(seed, groups=6, each=8)
        _, second, _ = scenes(seed + 1000, groups=6, each=8)
        free.append(permutation_p_value(first, second, 199))
        blocks.append(grouped_p_values(first, second, groups, 199)["p_value_blocks"])
    assert np.mean(np.array(free) <= 0.05) > 0.12
    assert np.mean(np.array(blocks) <= 0.05) < 0.12


def test_groups_that_say_nothing_have_no_p_values():
    first, second, _ = scenes(0)
    assert grouped_p_values(first, second, np.zeros(24), 99) == {}
    assert grouped_p_values(first, second, np.arange(24), 99) == {}


def test_pairings_by_blocks_equal_the_oracle():
    """Of two blocks there are two orders; of pairs, two orders in each."""
    queries, items = vectors(5, 4, 6), vectors(6, 4, 6)
    naive = np.array([[naive_rank(q, items, j) for j in range(4)] for q in queries])
    sums = {
        "p_value_blocks": [(0, 1, 2, 3), (2, 3, 0, 1)],
        "p_value_within_blocks": [(0, 1, 2, 3), (1, 0, 2, 3), (0, 1, 3, 2), (1, 0, 3, 2)],
    }
    found = grouped_p_values(queries, items, [0, 0, 1, 1], 20_000)
    for name, pairings in sums.items():
        scores = [sum(naive[row, column] for row, column in enumerate(p)) for p in pairings]
        right = np.mean([score <= scores[0] for score in scores])
        assert found[name] == pytest.approx(right, abs=0.02)


def naive_rank(query, items, index):
    cosines = [query @ item / np.linalg.norm(query) / np.linalg.norm(item) for item in items]
    return sum(cosine >= cosines[index] - 1e-6 for cosine in cosines)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.fill(np.nan), "not finite"),
        (lambda x: x.__setitem__(0, np.inf), "not finite"),
        (lambda x: x.fill(1.0), "all equal"),
        (lambda x: x.__setitem__(1, 0.0), "are zero"),
    ],
)
def test_meaningless_embeddings_are_refused(spoil, message):
    queries, items = vectors(3, 5, 4), vectors(4, 5, 4)
    spoil(queries)
    with pytest.raises(ValueError, match=message):
        ranks(queries, items)


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="Expected one item per query"):
        ranks(vectors(0, 5, 4), vectors(0, 6, 4))
