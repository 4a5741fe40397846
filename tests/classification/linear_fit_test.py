# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import time

import numpy as np
import pytest

from mmv_tf.classification.folds import assign_folds
from mmv_tf.classification.linear_fit import Windows, describe, fit_linear
from mmv_tf.classification.logistic import LogisticRegression, log_loss, mean_by_clip
from tests.classification.logistic_test import problem


def masks(targets, films=None):
    films = [str(n) for n in range(len(targets))] if films is None else films
    folds = assign_folds(films, targets)
    return [folds == fold for fold in range(folds.max() + 1)]


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_penalty_has_the_least_held_out_loss(multi_label):
    features, clips, targets = problem(clips=45, dim=20)
    held_out = masks(targets)
    fit = fit_linear(Windows(features, clips, targets), held_out, multi_label)
    losses = []
    for point in fit.curve:
        scores = np.full(targets.shape, np.nan)
        for mask in held_out:
            train = ~mask[clips]
            model = LogisticRegression(features[train], clips[train], targets, multi_label)
            (linear,) = model.fits([point["penalty"]])
            windows = linear.scores(features, multi_label)
            scores[mask] = mean_by_clip(windows, clips, len(targets))[mask]
        losses.append(log_loss(scores, targets, multi_label).mean())
        np.testing.assert_allclose(point["log_loss"], losses[-1], atol=0.006)
    best = int(np.argmin([point["log_loss"] for point in fit.curve]))
    assert fit.penalty == fit.curve[best]["penalty"]
    assert best > 0
    assert np.isfinite(fit.scores).all()
    np.testing.assert_allclose(
        log_loss(fit.scores, targets, multi_label).mean(), fit.curve[best]["log_loss"]
    )
    assert describe(fit, 60)["C"] == pytest.approx(1 / (60 * fit.penalty))


def test_windows_of_a_film_are_no_evidence():
    """Features that name the film, not the class: held out, they say nothing."""
    random = np.random.default_rng(0)
    films = random.normal(size=(40, 50)).astype(np.float32)
    clips = np.repeat(np.arange(40), 10)
    features = films[clips] + 0.01 * random.normal(size=(400, 50)).astype(np.float32)
    targets = np.eye(2, dtype=np.int8)[np.arange(40) % 2]
    fit = fit_linear(Windows(features, clips, targets), masks(targets), False)
    assert fit.penalty >= 0.1
    chosen = next(point for point in fit.curve if point["penalty"] == fit.penalty)
    assert 0.25 < chosen["accuracy"] < 0.75


def test_a_split_for_validation():
    features, clips, targets = problem()
    mask = np.arange(60) >= 40
    fit = fit_linear(Windows(features, clips, targets), [mask], False)
    assert np.isfinite(fit.scores[40:]).all()
    assert np.isnan(fit.scores[:40]).all()


@pytest.mark.slow
def test_the_time_of_ten_thousand_windows():
    """Processor time, which others on the machine change less: of one core, so half of two."""
    features, clips, targets = problem(clips=1000, dim=1024, labels=10, per_clip=10)
    started = time.process_time()
    fit_linear(Windows(features, clips, targets), masks(targets), False)
    assert time.process_time() - started < 120
