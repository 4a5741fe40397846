# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Linear probes in closed form: what can be read off frozen features, for many facts at once.

`linear_probe` fits a logistic regression many times over, which is right for one benchmark and too
slow for hundreds of probes. Here a ridge regression to one column a class (+1 and -1) is solved
exactly, for all facts by one decomposition, and each column's penalty is chosen by leave-one-out
error, which has a closed form too.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Ours: from nearly unpenalised to nearly constant, on standardised features of 1,000s of clips.
_PENALTIES = tuple(10.0**power for power in range(-1, 6))


def factor_probe(
    train: np.ndarray,
    train_labels: Mapping[str, np.ndarray],
    test: np.ndarray,
    test_labels: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Top-1 accuracy of a linear classifier for each factor.

    Args:
      train, test: float [N, D].
      train_labels, test_labels: factor -> int [N]; both have the same factors. A test label that
        training lacks counts as an error.

    Returns:
      Factor -> accuracy in [0, 1].

    Raises:
      ValueError: for features that are not finite, other factors in test, or a factor with fewer
        than two classes in training.
    """
    if set(train_labels) != set(test_labels):
        raise ValueError(
            f"Training has the factors {sorted(train_labels)}, test {sorted(test_labels)}."
        )
    found = factor_predictions(train, train_labels, test)
    return {name: float((found[name] == test_labels[name]).mean()) for name in train_labels}


def factor_predictions(
    train: np.ndarray, train_labels: Mapping[str, np.ndarray], test: np.ndarray
) -> dict[str, np.ndarray]:
    """The class that a linear classifier finds for each row, factor -> int [N].

    Args and Raises: as for `factor_probe`.
    """
    for name, features in (("training", train), ("test", test)):
        if not np.isfinite(features).all():
            raise ValueError(f"The {name} features hold values that are not finite.")
    classes = {factor: np.unique(labels) for factor, labels in train_labels.items()}
    for factor, found in classes.items():
        if len(found) < 2:
            raise ValueError(f"All training labels of {factor!r} are the same.")
    columns = [2.0 * (train_labels[f][:, np.newaxis] == classes[f]) - 1.0 for f in classes]
    # Here: importing scikit-learn takes a second, and most who import mmv_tf need none of it.
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
