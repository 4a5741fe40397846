# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.evaluation import retrieval


def vectors(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def naive_ranks(queries, items, targets, valid):
    """In float64, on the rows as `normalize` leaves them; 0 where the right item is not there."""
    queries, items = retrieval.normalize(queries, "query"), retrieval.normalize(items, "item")
    result = []
    for query, target in zip(queries.astype(np.float64), targets, strict=True):
        similar = [(query * item).sum() for item in items]
        own = similar[target]
        others = (j for j in range(len(items)) if valid[j] and j != target)
        result.append((1 + sum(similar[j] >= own for j in others)) if valid[target] else 0)
    return result


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("blocks", [(2048, 1024, 128), (16, 8, 4), (7, 5, 3)])
def test_ranks_equal_the_oracle(monkeypatch, duplicates, masked, blocks):
    for name, value in zip(("_ITEMS", "_QUERIES", "_ROWS"), blocks, strict=True):
        monkeypatch.setattr(retrieval, name, value)
    queries, items = vectors(0, 41, 6), vectors(1, 60, 6)
    if duplicates:
        items[10:20] = items[0]
        items[40:] = items[20:40]
        items[5] = 3 * items[30]  # the same direction, rounded in another way
    generator = np.random.default_rng(2)
    targets = generator.integers(0, 60, 41)
    valid = generator.random(60) < (0.7 if masked else 2)
    found = retrieval.ranks(queries, items, targets, valid)
    np.testing.assert_array_equal(found, naive_ranks(queries, items, targets, valid))


def test_a_tie_counts_wherever_the_copies_stand():
    # The BLAS rounds the edges of a matrix otherwise than its middle.
    queries, items = vectors(3, 300, 256), vectors(4, 300, 256)
    for place in (0, 1, 150, 298, 299):
        copied = np.concatenate([items, items[place : place + 1]])
        alone = retrieval.ranks(queries, items)[place]
        assert retrieval.ranks(queries, copied, np.arange(300))[place] == alone + 1


def test_nearly_equal_items_are_ordered_exactly():
    away = np.array([0.0, 1e-4, 2e-4, 3e-4, 4e-4, 1.0], np.float32)  # cosines differ by 1e-8
    items = np.stack([np.cos(away), np.sin(away)], axis=1).astype(np.float32)
    queries = np.repeat(items[:1], 6, axis=0)
    queries[5] = [0.0, 1.0]
    found = retrieval.ranks(queries, items)
    np.testing.assert_array_equal(
        found, naive_ranks(queries, items, np.arange(6), np.ones(6, bool))
    )


def test_few_items_repeated_often_are_quick_and_right():
    items = np.repeat(vectors(5, 3, 8), 2000, axis=0)
    found = retrieval.ranks(items, items)
    np.testing.assert_array_equal(found, 2000)


def test_shapes_and_targets_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="differ"):
        retrieval.ranks(vectors(0, 3, 4), vectors(1, 5, 4), np.arange(2))
    with pytest.raises(ValueError, match="Targets range from 0 to 5; expected 0 to 4"):
        retrieval.ranks(vectors(0, 2, 4), vectors(1, 5, 4), np.array([0, 5]))
    with pytest.raises(ValueError, match="mask has shape"):
        retrieval.ranks(vectors(0, 5, 4), vectors(1, 5, 4), valid=np.ones(4, bool))
