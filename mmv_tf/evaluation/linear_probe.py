# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear classification of frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Ours: from nearly constant to nearly unregularised on standardised features.
_GRID = tuple(10.0**power for power in range(-5, 2))


def linear_probe(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    groups: Sequence[int] | np.ndarray,
    folds: int = 4,
) -> dict[str, float]:
    """Top-1 accuracy of a linear classifier on standardised features, beside the majority class.

    Logistic regression, its C chosen by cross-validation inside the training part, whole groups
    (blocks of time, videos) left out at a time.

    Args:
      train, test: float [N, D].
      train_labels, test_labels: int [N]. A test label that training lacks counts as an error.
      groups: int [N of train].
      folds: of the cross-validation.

    Returns:
      "accuracy", "majority" (always answering the commonest training label), "C", "count",
      "classes" and "unseen" (test clips whose label training lacks).
    """
    for name, features in (("training", train), ("test", test)):
        if not np.isfinite(features).all():
            raise ValueError(f"The {name} features hold values that are not finite.")
    classes, counts = np.unique(train_labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"A linear probe needs two classes or more, got {classes.tolist()}.")
    folds = min(folds, len(np.unique(groups)))
    # Here: importing scikit-learn takes a second, and most who import mmv_tf need none of it.
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
    return {
        "accuracy": float((search.predict(test) == test_labels).mean()),
        "majority": float((test_labels == majority).mean()),
        "C": float(search.best_params_["logisticregression__C"]),
        "count": len(test_labels),
        "classes": len(classes),
        "unseen": int((~np.isin(test_labels, classes)).sum()),
    }
