# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.classification.folds import assign_folds


def test_labels_are_spread_evenly():
    targets = np.eye(4, dtype=int)[np.repeat(range(4), [50, 20, 10, 5])]
    folds = assign_folds([str(n) for n in range(len(targets))], targets)
    counts = np.stack([targets[folds == fold].sum(axis=0) for fold in range(5)])
    np.testing.assert_array_equal(counts, np.tile([10, 4, 2, 1], [5, 1]))


@pytest.mark.parametrize("seed", range(5))
def test_films_are_never_divided(seed):
    random = np.random.default_rng(seed)
    films = random.integers(0, 40, 200).astype(str)
    targets = (random.random([200, 6]) < 0.3).astype(int)
    folds = assign_folds(films, targets, seed=seed)
    assert sorted(set(folds)) == [0, 1, 2, 3, 4]
    for film in set(films):
        assert len(set(folds[films == film])) == 1
    # Each label can be learned whatever fold is held out.
    for fold in range(5):
        assert (targets[folds != fold].sum(axis=0) > 0).all()
    np.testing.assert_array_equal(folds, assign_folds(films, targets, seed=seed))
    assert (folds != assign_folds(films, targets, seed=seed + 1)).any()


@pytest.mark.parametrize("seed", range(5))
def test_two_films_of_a_label_are_in_two_folds(seed):
    targets = np.eye(2, dtype=int)[[0, 0, 0, 0, 0, 0, 1, 1, 1]]
    folds = assign_folds([*"abcdef", "x", "x", "y"], targets, seed=seed)
    assert set(folds) == {0, 1, 2, 3, 4}
    assert folds[6] == folds[7] != folds[8]
    many = np.eye(30, dtype=int)[np.repeat(range(30), 2)]
    folds = assign_folds([str(n) for n in range(60)], many, seed=seed)
    assert (folds[::2] != folds[1::2]).all()
    assert set(assign_folds(["a", "b", "c", "d"], many[:4, :2], seed=seed)) == {0, 1, 2, 3}
    with pytest.raises(ValueError, match="Label 1 occurs in 1 films; expected at least 2"):
        assign_folds([*"abcdef", "x", "x", "x"], targets)
