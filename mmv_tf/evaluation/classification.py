# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Classification benchmarks, which train and score a classifier on each split."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mmv_tf.data.datasets.published import TEST, TRAIN
from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.classification_metrics import IGNORED, label_ranks, multilabel_metrics
from mmv_tf.evaluation.declaration import Benchmark, LinearSVMClassifier, MLPClassifier
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.linear_svm import choose_C, fit_linear_svm
from mmv_tf.evaluation.listed_media import CHOSEN, PUBLISHED, ListedMedia, Options
from mmv_tf.evaluation.listing import Item, Listing
from mmv_tf.evaluation.mlp import MLP
from mmv_tf.evaluation.results import Scored, TaskScores, summarize, targets_of
from mmv_tf.inference import Encoder

# (listing, training items, test items) -> scores [test items, classes], details
Scorer = Callable[[Listing, Sequence[Item], Sequence[Item]], tuple[np.ndarray, dict[str, Any]]]
# Rows [n, dim] -> scores [n, classes].
Predict = Callable[[np.ndarray], np.ndarray]


class SplitClassification(abc.ABC):
    """Train and score a classifier on each split.

    Args:
      benchmark: the protocol.
      encoder: the model's encoder.
      options: run settings.
      feature: the feature to use instead of the protocol's; None to use the protocol's.

    Attributes:
      trains: whether training items are needed.

    Raises:
      ValueError: the model lacks the modality or the feature.
    """

    trains = True

    def __init__(
        self,
        benchmark: Benchmark,
        encoder: Encoder,
        options: Options,
        feature: str | None = None,
    ):
        self.benchmark, self.options = benchmark, options
        names = [benchmark.feature if feature is None else feature]
        self.extractor = Extractor(encoder, benchmark.modality, names, options.batch_size)

    @abc.abstractmethod
    def scorer(self, media: ListedMedia) -> Scorer:
        """Read the media, and return the function that trains and scores on one split."""

    def run(self, media: ListedMedia) -> TaskScores:
        """Score all splits."""
        benchmark = self.benchmark
        score = self.scorer(media)
        parts: list[Scored] = []
        details: dict[str, Any] = {}
        for split, listing in media.listings.items():
            train, test = (media.failures.without(listing.of(use)) for use in (TRAIN, TEST))
            if (self.trains and not train) or not test:
                raise ValueError(f"{listing.name} has {len(train)} training and {len(test)} test "
                                 "items; both are needed.")  # fmt: skip
            scores, detail = score(listing, train, test)
            details[split] = {"classes": len(listing.classes), "train": len(train), **detail}
            base: dict[str, Any] = {
                "ids": np.array([item.item_id for item in test]),
                "groups": np.array([item.group or item.item_id for item in test]),
                "splits": np.full(len(test), split),
            }
            if benchmark.metric == "mAP":
                labels = _label_matrix(test, len(listing.classes))
                base |= {"scores": scores, "labels": labels}
                base["points"] = benchmark.average_precision_points
            else:
                base["ranks"] = label_ranks(scores, np.array([item.labels[0] for item in test]))
            parts.append(Scored(**base))
        scored = parts[0] if len(parts) == 1 else _joined(parts)
        metrics = {"test": summarize(scored, retrieval=False)}
        return TaskScores({"test": scored}, metrics, {"splits": details})


class Classification(SplitClassification):
    """Train a classifier on frozen features."""

    def scorer(self, media: ListedMedia) -> Scorer:
        """Extract the features for all splits; see the base class."""
        benchmark, failures = self.benchmark, media.failures
        if benchmark.train_views is None:
            raise ValueError(f"{benchmark.name} has no train_views; declare some.")
        views = {TRAIN: benchmark.train_views, TEST: benchmark.test_views}
        everything = {use: media.readable(use) for use in views}
        stores = {
            use: features_lib.extract(
                self.extractor,
                everything[use],
                media.paths,
                views[use],
                failures,
                media.cache,
                self.options.seed,
            )
            for use in views
        }

        def score(
            listing: Listing, train: Sequence[Item], test: Sequence[Item]
        ) -> tuple[np.ndarray, dict[str, Any]]:
            train, test = failures.without(train), failures.without(test)
            x, row = features_lib.stacked(stores[TRAIN], train, benchmark.feature)
            tested, owner = features_lib.stacked(stores[TEST], test, benchmark.feature)
            labels = _label_matrix(train, len(listing.classes))[row]
            groups = np.array([train[index].group or train[index].item_id for index in row])
            predict, detail = fit_classifier(benchmark, self.options, x, labels, groups)
            windows = predict(tested)
            # Average the scores over the windows.
            sums = np.zeros([len(test), windows.shape[1]])
            np.add.at(sums, owner, windows)
            return sums / np.bincount(owner)[:, np.newaxis], detail

        return score


def fit_classifier(
    benchmark: Benchmark, options: Options, x: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[Predict, dict[str, Any]]:
    """Train the declared classifier on rows [n, dim] with labels [n, classes] (1, 0, -1)."""
    declared, exclusive = benchmark.classifier, benchmark.metric != "mAP"
    if isinstance(declared, MLPClassifier):
        return MLP(x, labels, declared, exclusive, options.seed).scores, {}
    if not isinstance(declared, LinearSVMClassifier):
        raise ValueError(f"{benchmark.name} declares {declared}, which does not use features.")
    targets = targets_of(labels)
    detail: dict[str, Any] = {}
    if options.C == CHOSEN:
        points = benchmark.average_precision_points

        def metric(scores: np.ndarray, rows: np.ndarray) -> float:
            if exclusive:
                return float((label_ranks(scores, labels[rows].argmax(axis=1)) <= 1).mean())
            return float(multilabel_metrics(scores, labels[rows], points)["mAP"])

        C, tried = choose_C(
            x, targets, labels.argmax(axis=1), groups, declared.grid, metric, options.seed
        )
        detail["held_out"] = tried
    elif options.C == PUBLISHED:
        if str(x.shape[1]) not in declared.fixed_C:
            raise ValueError(
                f"No C is published for {benchmark.name} with {x.shape[1]} features; known sizes: "
                f"{', '.join(declared.fixed_C) or 'none'}. Omit --C to choose one."
            )
        C = declared.fixed_C[str(x.shape[1])]
    else:
        C = float(options.C)
    machine = fit_linear_svm(x, targets, C)
    return machine.scores, {**detail, "C": C, "converged": machine.converged}


def _label_matrix(items: Sequence[Item], classes: int) -> np.ndarray:
    """Return int8 [N, classes]: 1, 0 or `IGNORED`."""
    labels = np.zeros([len(items), classes], np.int8)
    for row, item in enumerate(items):
        labels[row, list(item.ignored)] = IGNORED
        labels[row, list(item.labels)] = 1
    return labels


def _joined(parts: Sequence[Scored]) -> Scored:
    """Return the items of all splits; ids of items tested in several splits get a split prefix."""
    ids = np.concatenate(
        [np.array([f"{part.splits[0]}:{name}" for name in part.ids]) for part in parts]
    )
    return Scored(
        ids=ids,
        groups=np.concatenate([part.groups for part in parts]),
        splits=np.concatenate([part.splits for part in parts]),
        ranks=np.concatenate([part.ranks for part in parts if part.ranks is not None]),
    )
