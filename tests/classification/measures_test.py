# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import numpy as np
import pytest
from sklearn import metrics as reference

from mmv_tf.classification.labels import Clip
from mmv_tf.classification.measures import (
    ScoredClips,
    calibration_error,
    class_figures,
    confusions,
    metrics,
    worst,
)


def scored(multi_label=False, count=60, labels=7, seed=0):
    random = np.random.default_rng(seed)
    classes = np.arange(count) % labels
    targets = np.eye(labels, dtype=np.int8)[classes]
    logits = random.normal(size=(count, labels)) + 1.5 * targets
    if multi_label:
        targets |= random.random(targets.shape) < 0.1
        scores = 1 / (1 + np.exp(-2 * logits))
    else:
        scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = tuple(f"label {n}" for n in range(labels))
    clips = tuple(
        Clip(pathlib.Path(f"{n // 2}.mp4"), f"{n // 2}.mp4",
             tuple(name for name, there in zip(names, row, strict=True) if there),
             start=float(n % 2), end=float(n % 2 + 1))
        for n, row in enumerate(targets)
    )  # fmt: skip
    return ScoredClips(clips, names, targets, scores, multi_label)


@pytest.mark.parametrize("multi_label", [False, True])
def test_figures_of_classes_are_those_of_scikit_learn(multi_label):
    one = scored(multi_label)
    precision, recall, _, _ = reference.precision_recall_fscore_support(
        one.targets, one.predicted(), zero_division=0
    )
    for column, row in enumerate(class_figures(one)):
        assert row["clips"] == one.targets[:, column].sum()
        assert row["films"] <= row["clips"]
        area = reference.average_precision_score(one.targets[:, column], one.scores[:, column])
        expected = {
            "precision": precision[column], "recall": recall[column], "average_precision": area
        }  # fmt: skip
        for name, value in expected.items():
            np.testing.assert_allclose(row[name]["value"], value)
            low, high = row[name]["interval"]
            assert low <= value <= high
            assert high > low or value == 1


def test_classes_without_figures():
    one = scored()
    one.scores[:, 2] = 0
    one.targets[:, 3] = 0
    rows = class_figures(one)
    assert rows[2]["precision"] is None
    assert rows[2]["recall"]["value"] == 0
    assert (rows[3]["recall"], rows[3]["average_precision"]) == (None, None)


def test_metrics_of_one_label():
    one = scored()
    found = metrics(one)
    assert found["top_1"]["value"] == pytest.approx(
        reference.accuracy_score(one.targets.argmax(axis=1), one.scores.argmax(axis=1))
    )
    assert found["log_loss"]["value"] == pytest.approx(
        reference.log_loss(one.targets.argmax(axis=1), one.scores), rel=1e-4
    )
    assert {"top_5", "calibration_error"} <= set(found)
    assert "top_5" not in metrics(scored(labels=5))
    matrix = reference.confusion_matrix(one.targets.argmax(axis=1), one.scores.argmax(axis=1))
    np.testing.assert_array_equal(confusions(one), matrix)


def test_metrics_of_several_labels():
    one = scored(multi_label=True)
    found = metrics(one)
    expected = reference.average_precision_score(one.targets, one.scores, average="macro")
    assert found["mAP"]["value"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="no confusion matrix"):
        confusions(one)


def test_calibration_error():
    one = scored(count=4, labels=2)
    one.targets[:] = [[1, 0], [1, 0], [1, 0], [0, 1]]
    one.scores[:] = [[0.72, 0.28], [0.74, 0.26], [0.76, 0.24], [0.78, 0.22]]
    assert calibration_error(one) == pytest.approx(0)
    one.scores[:] = [[0.92, 0.08], [0.94, 0.06], [0.96, 0.04], [0.98, 0.02]]
    assert calibration_error(one) == pytest.approx(0.2)


def test_the_worst_are_wrong_and_of_the_largest_loss():
    one = scored()
    found = worst(one, 5)
    wrong = np.flatnonzero(one.scores.argmax(axis=1) != one.targets.argmax(axis=1))
    assert set(found) <= set(wrong)
    chances = one.scores[one.targets == 1]
    np.testing.assert_array_equal(chances[found], np.sort(chances[wrong])[:5])
