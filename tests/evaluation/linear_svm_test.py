# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mmv_tf.evaluation import linear_svm


def clusters(seed, rows, dim=20, classes=4, noise=2.0):
    centres = np.random.default_rng(9).normal(size=(classes, dim))
    labels = np.arange(rows) % classes
    generator = np.random.default_rng(seed)
    features = centres[labels] + noise * generator.normal(size=(rows, dim))
    return (5 + features * (1 + np.arange(dim))).astype(np.float32), labels


@pytest.mark.parametrize("C", [1e-4, 1e-2, 1.0])
def test_weights_equal_liblinear(C):
    features, labels = clusters(0, 300)
    found = linear_svm.fit_linear_svm(features, linear_svm.one_vs_rest(labels, 4), C)
    standard = StandardScaler().fit(features)
    expected = LinearSVC(C=C, dual=False, tol=1e-10, max_iter=100_000)
    expected.fit(standard.transform(features).astype(np.float64), labels)
    assert found.converged
    np.testing.assert_allclose(found.mean, standard.mean_, rtol=1e-5)
    np.testing.assert_allclose(found.scale, standard.scale_, rtol=1e-5)
    limit = 2e-3 * np.abs(expected.coef_).max()
    np.testing.assert_allclose(found.weights.T, expected.coef_, atol=limit)
    np.testing.assert_allclose(found.bias, expected.intercept_, atol=limit)
    test, _ = clusters(1, 50)
    np.testing.assert_allclose(
        found.scores(test), expected.decision_function(standard.transform(test)), atol=10 * limit
    )


def test_a_class_may_leave_rows_out():
    features, labels = clusters(2, 200)
    targets = linear_svm.one_vs_rest(labels, 4)
    targets[:80, 1] = 0
    found = linear_svm.fit_linear_svm(features, targets, 0.01, standardize=False)
    alone = linear_svm.fit_linear_svm(features[80:], targets[80:, 1:2], 0.01, standardize=False)
    np.testing.assert_allclose(found.weights[:, 1], alone.weights[:, 0], atol=2e-5)


def test_constant_features_and_a_single_class_do_no_harm():
    features, labels = clusters(3, 60)
    features[:, 3] = 7.7
    targets = linear_svm.one_vs_rest(labels, 6)  # two classes have no rows
    found = linear_svm.fit_linear_svm(features, targets, 0.1)
    assert found.converged
    assert np.isfinite(found.weights).all()
    assert not found.weights[3].any()
    assert (found.scores(features)[:, 4:] < 0).all()


def test_C_is_chosen_on_groups_held_out():
    features, labels = clusters(4, 240, noise=4.0)
    groups = np.arange(240) // 8
    seen = []

    def accuracy(scores, rows):
        seen.append(rows)
        return float((scores.argmax(axis=1) == labels[rows]).mean())

    C, outcome = linear_svm.choose_C(
        features, linear_svm.one_vs_rest(labels, 4), labels, groups, (1e-1, 1e-5, 1e-3), accuracy
    )
    assert outcome.keys() == {"1e-05", "0.001", "0.1"}
    assert outcome[f"{C:g}"] == max(outcome.values())
    held = seen[0]
    assert 0 < len(held) < 120
    assert not set(groups[held]) & set(np.delete(groups, held)), "groups are held out whole"


def test_mistakes_are_refused():
    features, labels = clusters(5, 20)
    targets = linear_svm.one_vs_rest(labels, 4)
    with pytest.raises(ValueError, match="above 0"):
        linear_svm.fit_linear_svm(features, targets, 0.0)
    with pytest.raises(ValueError, match="differ"):
        linear_svm.fit_linear_svm(features[1:], targets, 1.0)
    with pytest.raises(ValueError, match="1 group"):
        linear_svm.choose_C(features, targets, labels, [0] * 20, (1.0,), lambda s, r: 0.0)
    features[0, 0] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        linear_svm.fit_linear_svm(features, targets, 1.0)
