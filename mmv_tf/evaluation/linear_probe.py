# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear probes of frozen features: one classifier, or several factors in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmv_tf.evaluation.significance import interval, weighted_mean

# Ours: from almost constant to almost unregularized, on standardized features.
_GRID = tuple(10.0**power for power in range(-5, 2))


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    groups: Sequence[int] | np.ndarray,
    folds: int = 4,
    test_groups: Sequence[Any] | np.ndarray | None = None,
) -> dict[str, Any]:
    """Return the top-1 accuracy of a linear classifier on standardized features.

    The classifier is logistic regression. C is selected by cross-validation on the training data,
    which holds out whole groups (blocks of time, videos).

    Args:
      train, test: float [N, D].
      train_labels, test_labels: int [N]. A test label missing from training counts as an error.
      groups: int [N of train].
      folds: number of cross-validation folds.
      test_groups: each test clip's group, for the interval, because clips of one group are not
        independent. None if each clip is its own group.

    Returns:
      "accuracy", its bootstrap "interval", "majority" (accuracy of the most frequent training
      label), "C", "count", "classes" and "unseen" (test clips whose label is missing from
      training).
    """
    for name, features in (("training", train), ("test", test)):
        if not np.isfinite(features).all():
            raise ValueError(f"The {name} features contain values that are not finite.")
    classes, counts = np.unique(train_labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"A linear probe needs at least two classes; got {classes.tolist()}.")
    folds = min(folds, len(np.unique(groups)))
    # Imported here because importing scikit-learn takes a second.
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(
        pipeline, {"logisticregression__C": _GRID}, cv=GroupKFold(folds), scoring="accuracy"
    )
    search.fit(train, train_labels, groups=groups)
    majority = classes[np.argmax(counts)]
    right = search.predict(test) == test_labels
    drawn = None if test_groups is None else np.asarray(test_groups).astype(str).tolist()
    return {
        "accuracy": float(right.mean()),
        "interval": list(interval(weighted_mean(right), len(right), drawn)),
        "majority": float((test_labels == majority).mean()),
        "C": float(search.best_params_["logisticregression__C"]),
        "count": len(test_labels),
        "classes": len(classes),
        "unseen": int((~np.isin(test_labels, classes)).sum()),
    }


# Ours: from almost unpenalized to almost constant, on standardized features of thousands of clips.
_PENALTIES = tuple(10.0**power for power in range(-1, 6))


def factor_probe(
    train: np.ndarray,
    train_labels: Mapping[str, np.ndarray],
    test: np.ndarray,
    test_labels: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Return the top-1 accuracy of a linear classifier for each factor.

    Args:
      train, test: float [N, D].
      train_labels, test_labels: factor -> int [N]; both have the same factors. A test label
        missing from training counts as an error.

    Returns:
      Factor -> accuracy in [0, 1].

    Raises:
      ValueError: features are not finite, the test data has other factors, or a factor has fewer
        than two classes in training.
    """
    if set(train_labels) != set(test_labels):
        raise ValueError(
            f"The training data has the factors {sorted(train_labels)}, but the test data has "
            f"{sorted(test_labels)}; expected the same factors."
        )
    found = factor_predictions(train, train_labels, test)
    return {name: float((found[name] == test_labels[name]).mean()) for name in train_labels}


def factor_predictions(
    train: np.ndarray, train_labels: Mapping[str, np.ndarray], test: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the class predicted by a linear classifier for each row, factor -> int [N].

    Arguments and errors are as for `factor_probe`.
    """
    for name, features in (("training", train), ("test", test)):
        if not np.isfinite(features).all():
            raise ValueError(f"The {name} features contain values that are not finite.")
    classes = {factor: np.unique(labels) for factor, labels in train_labels.items()}
    for factor, found in classes.items():
        if len(found) < 2:
            raise ValueError(f"All training labels of {factor!r} are equal.")
    columns = [2.0 * (train_labels[f][:, np.newaxis] == classes[f]) - 1.0 for f in classes]
    # Imported here because importing scikit-learn takes a second.
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(np.asarray(train, np.float64))
    ridge = RidgeCV(_PENALTIES, alpha_per_target=True)
    ridge.fit(scaler.transform(train), np.concatenate(columns, axis=1))
    scores = ridge.predict(scaler.transform(np.asarray(test, np.float64)))
    predictions, first = {}, 0
    for factor, found in classes.items():
        own = scores[:, first : first + len(found)]
        predictions[factor] = found[own.argmax(axis=1)]
        first += len(found)
    return predictions
