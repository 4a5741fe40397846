# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fits a classifier on the features of a frozen backbone, and evaluates it."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from mmv_tf.classification import linear_fit
from mmv_tf.classification.classifier import SCORES, Classifier, Scorer
from mmv_tf.classification.features import ClipReader, ClipWindows, compute, compute_cached
from mmv_tf.classification.folds import FOLDS, assign_folds
from mmv_tf.classification.labels import TEST, TRAIN, VALIDATION, Clip, LabeledClips, named
from mmv_tf.classification.linear_fit import LinearFit
from mmv_tf.classification.logistic import mean_by_clip
from mmv_tf.classification.measures import ScoredClips
from mmv_tf.classification.network import BEFORE_HEAD, FEATURES, ClassifierNetwork
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.features import Failures
from mmv_tf.inference.encoder import WINDOWS, Encoder
from mmv_tf.inference.network import AUDIO, IMAGE
from mmv_tf.util.progress import Progress


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """Settings for fitting a classifier.

    Attributes:
      cache: feature folder, which later fits with the same model reuse.
      windows: maximum number of windows per clip.
      feature: "before_head", or "last_conv" for audio.
      folds: maximum number of cross-validation folds.
      allow_missing: number of unreadable clips to tolerate.
      batch_size: windows per batch; does not affect the results.
      seed: seed for assigning folds.
    """

    cache: pathlib.Path
    windows: int = WINDOWS
    feature: str = BEFORE_HEAD
    folds: int = FOLDS
    allow_missing: int = 0
    batch_size: int = 16
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A new classifier, with information about its fit.

    Attributes:
      classifier: the classifier.
      scored: clips that the classifier was not trained on, with their scores: the split "test", or
        else held-out training clips, each scored by a classifier trained on the other clips.
      held_out: origin of `scored`: "test", "validation" or "cross-validation".
      selection: plain values about the choice of the penalty, or about the fine-tuning.
      failures: unreadable clips.
      trained: number of clips that the classifier was trained on.
    """

    classifier: Classifier
    scored: ScoredClips
    held_out: str
    selection: dict[str, Any]
    failures: Failures
    trained: int


def fit(labeled: LabeledClips, encoder: Encoder, options: FitOptions) -> Fitted:
    """Fit a linear classifier on frozen features.

    The penalty is chosen on the split "validation", or else by cross-validation over films; then
    the classifier is fitted on both splits.

    Args:
      labeled: the clips.
      encoder: the model, whose weights do not change.
      options: see `FitOptions`.

    Raises:
      ValueError: nothing can be learned from the clips, the model lacks this modality's backbone,
        or more clips are unreadable than allowed.
    """
    labeled.check_trainable()
    check_weights(encoder)
    encoder.network.check_input(encoder.embedded_as(labeled.modality))
    reader = ClipReader(encoder, labeled.modality, options.windows)
    network = make_network(encoder, labeled, options.feature, options.windows)
    extractor = Extractor(
        encoder, labeled.modality, (options.feature,), options.batch_size, static_clips=True
    )
    failures = Failures(options.allow_missing)
    found = compute_cached(extractor, reader, labeled.clips, failures, options.cache)
    known = [(clip, one) for clip, one in found if clip.split in (TRAIN, VALIDATION)]
    clips = [clip for clip, _ in known]
    labeled.check_trainable(clips)
    targets = labeled.targets(clips)
    features, of_clip = stacked([one for _, one in known])
    masks = held_out_masks(clips, targets, options)
    windows = linear_fit.Windows(features, of_clip, targets)
    fitted = linear_fit.fit_linear(windows, masks, labeled.multi_label)
    network.set_linear(fitted.linear.kernel, fitted.linear.bias)
    tested = [(clip, one) for clip, one in found if clip.split == TEST]
    if tested:
        scored = _scored_test(network, labeled, tested)
    else:
        scored = _scored_held_out(fitted, labeled, clips, targets, np.any(masks, axis=0))
    held_out = VALIDATION if any(clip.split == VALIDATION for clip in clips) else "cross-validation"
    selection = {
        "feature": options.feature,
        "held_out": held_out,
        "folds": len(masks),
        **linear_fit.describe(fitted, len(clips)),
    }
    return Fitted(
        Classifier(network), scored, TEST if tested else held_out, selection, failures, len(clips)
    )


def check_weights(encoder: Encoder) -> tuple[Any, Any]:
    """Return an encoder's model and deflated model, either of which may be None.

    Raises:
      ValueError: the model is a SavedModel, whose weights can't be copied.
    """
    model = getattr(encoder.network, "model", None)
    image_model = getattr(encoder.network, "image_model", None)
    if model is None and image_model is None:
        raise ValueError(
            f"{encoder.source} is a SavedModel, whose weights can't be copied into a classifier "
            "file; pass the network that it was exported from: a .keras file, a training run or a "
            "released checkpoint."
        )
    return model, image_model


def make_network(
    encoder: Encoder, labeled: LabeledClips, feature: str, windows: int
) -> ClassifierNetwork:
    """Return a classifier with one of the model's backbones and a new linear layer.

    Raises:
      ValueError: the model is a SavedModel, lacks this backbone or feature, or lacks settings.
    """
    modality = labeled.modality
    model, image_model = check_weights(encoder)
    if feature not in FEATURES[modality]:
        raise ValueError(
            f"The feature is {feature!r}; for {modality}, use {' or '.join(FEATURES[modality])}."
        )
    encoder.network.check_input(encoder.embedded_as(modality))
    settings = encoder.settings
    if modality == IMAGE:
        tower: Any = model.video if image_model is None else image_model
    else:
        tower = model.backbone(modality)
    return ClassifierNetwork(
        tower,
        labeled.labels,
        modality,
        feature,
        labeled.multi_label,
        model.log_mel if modality == AUDIO else None,
        windows,
        {
            "num_frames": settings.num_frames,
            "frame_rate": settings.frame_rate,
            "size": settings.size,
            "square_crop": settings.square_crop,
            "source_sha256": encoder.fingerprint,
        },
    )


def held_out_masks(
    clips: Sequence[Clip], targets: np.ndarray, options: FitOptions
) -> list[np.ndarray]:
    """Return masks of clips to hold out: the split "validation", or else folds of films."""
    validation = np.array([clip.split == VALIDATION for clip in clips])
    if validation.any():
        unknown = np.flatnonzero(
            targets[validation].any(axis=0) & ~targets[~validation].any(axis=0)
        )
        if len(unknown):
            raise ValueError(
                f"{len(unknown)} labels occur in the validation split but not in the train split; "
                "add clips with these labels to the train split."
            )
        return [validation]
    folds = assign_folds([clip.film for clip in clips], targets, options.folds, options.seed)
    return [folds == fold for fold in range(int(folds.max()) + 1)]


def evaluate(
    classifier: Classifier, labeled: LabeledClips, clips: Sequence[Clip], failures: Failures
) -> ScoredClips:
    """Score labeled clips as `Classifier.predict` does.

    Args:
      classifier: the classifier.
      labeled: the clips' labels, all known to the classifier.
      clips: clips to score.
      failures: receives unreadable clips.

    Raises:
      ValueError: a label is unknown, there are no clips, or more are unreadable than allowed.
    """
    unknown = sorted(set(labeled.labels) - set(classifier.labels))
    if unknown:
        raise ValueError(
            f"{labeled.source}: the classifier does not know {named(unknown)}; it knows "
            f"{named(classifier.labels)}."
        )
    if not clips:
        raise ValueError(f"{labeled.source}: there are no clips to evaluate; check the split.")
    found = score_clips(classifier, clips, failures)
    failures.check()
    if not found:
        raise ValueError(f"{labeled.source}: none of the clips can be read.")
    known = dataclasses.replace(labeled, labels=classifier.labels)
    readable = [clip for clip, _ in found]
    return ScoredClips(
        clips=tuple(readable),
        labels=classifier.labels,
        targets=known.targets(readable),
        scores=np.stack([one.values.mean(axis=0, dtype=np.float64) for _, one in found]),
        multi_label=classifier.multi_label,
    )


def score_clips(
    classifier: Scorer, clips: Sequence[Clip], failures: Failures
) -> list[tuple[Clip, ClipWindows]]:
    """Return the readable clips with the scores of their windows; see `features.compute`."""
    reader = ClipReader(classifier.encoder, classifier.modality, classifier.windows)
    extractor = Extractor(classifier.encoder, classifier.modality, (SCORES,), 16)
    with Progress(len(clips), "classify", "clips") as progress:
        return list(compute(extractor, reader, clips, failures, progress))


def stacked(windows: Sequence[ClipWindows]) -> tuple[np.ndarray, np.ndarray]:
    """Return all windows [windows, d] and the clip index of each, int [windows]."""
    counts = [len(one.values) for one in windows]
    return np.concatenate([one.values for one in windows]), np.repeat(
        np.arange(len(counts)), counts
    )


def _scored_test(
    network: ClassifierNetwork, labeled: LabeledClips, tested: Sequence[tuple[Clip, ClipWindows]]
) -> ScoredClips:
    features, of_clip = stacked([one for _, one in tested])
    scores = network.scores(tf.constant(features)).numpy()
    clips = [clip for clip, _ in tested]
    return ScoredClips(
        clips=tuple(clips),
        labels=labeled.labels,
        targets=labeled.targets(clips),
        scores=mean_by_clip(scores, of_clip, len(clips)),
        multi_label=labeled.multi_label,
    )


def _scored_held_out(
    fitted: LinearFit,
    labeled: LabeledClips,
    clips: Sequence[Clip],
    targets: np.ndarray,
    tested: np.ndarray,
) -> ScoredClips:
    return ScoredClips(
        clips=tuple(clip for clip, held in zip(clips, tested, strict=True) if held),
        labels=labeled.labels,
        targets=targets[tested],
        scores=fitted.scores[tested],
        multi_label=labeled.multi_label,
    )
