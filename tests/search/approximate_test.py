# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from mmv_tf.search import approximate
from mmv_tf.search.approximate import Approximate, build
from mmv_tf.search.exact import Term, best

faiss = pytest.importorskip("faiss", reason="the extra 'search' is not installed")


def clustered(number, dim, clusters, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, dim), np.float32)
    rows = centres[generator.integers(clusters, size=number)]
    rows = rows + 0.6 * generator.standard_normal((number, dim), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    matrix = clustered(20_000, 32, 100)
    path = tmp_path_factory.mktemp("faiss") / "video.vat.faiss"
    return matrix, path, build(matrix, path)


def test_recall_is_what_was_measured(built):
    matrix, path, report = built
    assert report == json.loads(path.with_suffix(".json").read_text())
    assert report["recall"] >= 0.95
    assert report["probes"] < report["lists"], "some lists are not searched"
    index = Approximate.load(path, matrix)
    hits = 0
    # Other queries than those that it was tuned on.
    queries = approximate._noisy(matrix, np.random.default_rng(77))[:100]
    for query in queries:
        expected, values = best([Term(matrix, query, 1.0)], 10)
        rows, cosines = index.best(query, 10)
        hits += len(set(rows) & set(expected))
        assert (np.diff(cosines) <= 0).all()
        np.testing.assert_allclose(cosines, matrix[rows] @ query, atol=1e-6)
        assert cosines[0] <= values[0] + 1e-6
    assert hits / 1000 >= 0.93


def test_a_file_of_another_matrix_is_refused(built):
    matrix, path, _ = built
    with pytest.raises(ValueError, match="to another matrix"):
        Approximate.load(path, matrix[:-1])


def test_a_damaged_file_is_refused(built, tmp_path):
    matrix, path, _ = built
    other = tmp_path / path.name
    other.write_bytes(path.read_bytes()[:500])
    other.with_suffix(".json").write_text(path.with_suffix(".json").read_text())
    with pytest.raises(ValueError, match="can't be read by FAISS"):
        Approximate.load(other, matrix)


def test_none_where_there_is_no_file(tmp_path):
    assert Approximate.load(tmp_path / "x.faiss", np.zeros([3, 2], np.float32)) is None
