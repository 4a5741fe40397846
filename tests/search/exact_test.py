# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from mmv_tf.search import exact
from mmv_tf.search.exact import Term, best, scores


def unit(*shape, seed=0):
    vectors = np.random.default_rng(seed).standard_normal(shape, np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def naive(terms, count, usable=None):
    total = sum(abs(term.weight) for term in terms)
    values = sum(
        term.weight / total * (term.matrix.astype(np.float64) @ term.vector.astype(np.float64))
        for term in terms
    )
    order = sorted(range(len(values)), key=lambda row: (-values[row], row))
    order = [row for row in order if usable is None or usable[row]][:count]
    return order, values[order]


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 1000])
@pytest.mark.parametrize("count", [1, 7, 300])
def test_the_best_are_those_of_a_full_sort(monkeypatch, rows, count):
    monkeypatch.setattr(exact, "_ROWS", 64)
    terms = [Term(unit(rows, 8), unit(8, seed=1), 1.0), Term(unit(rows, 5), unit(5, seed=2), -0.4)]
    usable = np.random.default_rng(3).random(rows) < 0.8
    for used, mask in ((terms[:1], None), (terms, None), (terms, usable)):
        expected, values = naive(used, count, mask)
        found, got = best(used, count, mask)
        assert found.tolist() == expected
        np.testing.assert_allclose(got, values, atol=1e-6)


def test_equal_rows_come_in_order(monkeypatch):
    monkeypatch.setattr(exact, "_ROWS", 16)
    matrix = np.repeat(unit(1, 4), 100, axis=0)
    found, _ = best([Term(matrix, matrix[0], 1.0)], 5)
    assert found.tolist() == [0, 1, 2, 3, 4]


def test_scores_are_cosines_weighted():
    matrix = unit(10, 4)
    one = Term(matrix, matrix[3], 2.0)
    assert scores([one], slice(3, 4))[0] == pytest.approx(1.0)
    both = scores([one, Term(matrix, -matrix[3], 1.0)], np.array([3]))
    assert both[0] == pytest.approx(1 / 3)


def test_of_a_mapped_matrix(tmp_path):
    np.save(tmp_path / "m.npy", unit(500, 16))
    mapped = np.load(tmp_path / "m.npy", mmap_mode="r")
    found, _ = best([Term(mapped, np.array(mapped[123]), 1.0)], 3)
    assert found[0] == 123


def every_float16():
    """All finite numbers of float16 from -1 to 1, subnormals too."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    return numbers[np.abs(numbers.astype(np.float32)) <= 1]


def test_every_float16_is_its_own_number():
    numbers = every_float16()[:, np.newaxis]
    got = exact.products(numbers, np.ones(1, np.float32))
    np.testing.assert_array_equal(got, numbers[:, 0].astype(np.float32))


def test_float16_is_scored_exactly_in_float32(monkeypatch):
    monkeypatch.setattr(exact, "_ROWS", 64)
    stored = unit(1000, 48).astype(np.float16)
    stored[::7] = 0
    vector = unit(48, seed=1)
    as_float32 = stored.astype(np.float32)
    np.testing.assert_array_equal(exact.products(stored, vector), as_float32 @ vector)
    rows = np.array([3, 999, 14])
    np.testing.assert_array_equal(
        exact.products(stored[rows], vector), exact.products(as_float32[rows], vector)
    )
    for terms in ([1.0], [1.0, -0.4]):
        halves = [Term(stored, unit(48, seed=n), weight) for n, weight in enumerate(terms)]
        wholes = [dataclasses.replace(term, matrix=as_float32) for term in halves]
        for got, expected in zip(best(halves, 20), best(wholes, 20), strict=True):
            np.testing.assert_array_equal(got, expected)
