# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Fine-tunes a backbone with a linear layer on the user's own labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from mmv_tf.classification.classifier import Classifier
from mmv_tf.classification.features import ClipReader, clip_id
from mmv_tf.classification.fitting import (
    FitOptions,
    Fitted,
    check_weights,
    evaluate,
    held_out_masks,
    make_network,
)
from mmv_tf.classification.labels import TEST, TRAIN, VALIDATION, Clip, LabeledClips
from mmv_tf.classification.network import BEFORE_HEAD, ClassifierNetwork
from mmv_tf.data.reading.augmentation import CROP_SHARE
from mmv_tf.evaluation.benchmarks import ESC10_FINE_TUNE, UCF101_FINE_TUNE
from mmv_tf.evaluation.declaration import AudioViews, FineTuning, VideoViews
from mmv_tf.evaluation.features import Failures
from mmv_tf.evaluation.fine_tune import (
    AudioSource,
    Source,
    VideoSource,
    check_ends,
    train_classifier,
)
from mmv_tf.evaluation.listing import Item
from mmv_tf.inference.encoder import Encoder
from mmv_tf.inference.network import AUDIO, VIDEO
from mmv_tf.inference.windows import Windows
from mmv_tf.util.configuration import override

HELD_OUT = "held-out clips"
# The recipes come from the benchmarks' protocols.
_RECIPES = {AUDIO: ESC10_FINE_TUNE.classifier, VIDEO: UCF101_FINE_TUNE.classifier}


def recipe(modality: str, changes: Sequence[str] = ()) -> FineTuning:
    """Return the schedule and augmentation for a modality.

    Args:
      modality: "video" or "audio".
      changes: settings to replace, such as "epochs=20".

    Raises:
      ValueError: there is no recipe for the modality, or a change is invalid.
    """
    declared = _RECIPES.get(modality)
    if not isinstance(declared, FineTuning):
        raise ValueError(f"Fine-tuning supports video and audio, not {modality}; omit --fine_tune.")
    settings = ml_collections.ConfigDict(dataclasses.asdict(declared))
    return FineTuning(**override(settings, changes, "fine_tune"))


def fine_tune(
    labeled: LabeledClips, encoder: Encoder, options: FitOptions, declared: FineTuning
) -> Fitted:
    """Train a copy of the backbone and a linear layer, and evaluate them on held-out clips.

    The held-out clips are the split "test", otherwise "validation", otherwise one of the folds of
    films that `fit` would use. The classifier is trained on all other clips.

    Args:
      labeled: the clips.
      encoder: the model; its weights do not change.
      options: see `FitOptions`; the feature is "before_head".
      declared: schedule and augmentation.

    Raises:
      ValueError: as for `fit`, or the loss is not finite.
    """
    labeled.check_trainable()
    if options.feature != BEFORE_HEAD:
        raise ValueError(
            f"The feature is {options.feature}; fine-tuning supports only {BEFORE_HEAD}."
        )
    check_weights(encoder)
    encoder.network.check_input(encoder.embedded_as(labeled.modality))
    cut = ClipReader(encoder, labeled.modality, options.windows).cut
    original = make_network(encoder, labeled, BEFORE_HEAD, options.windows)
    network = ClassifierNetwork.from_config(original.get_config())
    network.set_weights(original.get_weights())
    failures = Failures(options.allow_missing)
    source, items = _examples(network, labeled, cut, options.seed, failures)
    failures.check()
    readable = [clip for clip in labeled.clips if clip_id(clip) in items]
    train, tested, held_out = _divide(labeled, readable, options)
    labeled.check_trainable(train)
    model = train_classifier(
        network.tower,
        source,
        [items[clip_id(clip)] for clip in train],
        labeled.targets(train).astype(np.float32),
        declared,
        multi_label=labeled.multi_label,
        seed=options.seed,
    )
    network.set_linear(*model.head.get_weights())
    classifier = Classifier(network)
    scored = evaluate(classifier, labeled, tested, failures)
    selection = {
        "feature": BEFORE_HEAD,
        "held_out": held_out,
        "fine_tune": dataclasses.asdict(declared),
    }
    return Fitted(classifier, scored, held_out, selection, failures, len(train))


def _examples(
    network: ClassifierNetwork,
    labeled: LabeledClips,
    cut: Windows,
    seed: int,
    failures: Failures,
) -> tuple[Source, dict[str, Item]]:
    """Return the example reader, and the readable items by clip id."""
    paths = {clip_id(clip): clip.path for clip in labeled.clips}
    items = [
        Item(clip_id(clip), clip.name, start=clip.start, end=clip.end) for clip in labeled.clips
    ]
    source: Source
    if labeled.modality == AUDIO:
        heard = AudioViews(1, cut.seconds, random=True)
        # The reader uses only the model's log-mel.
        owner: Any = network
        source = AudioSource(owner, items, paths, heard, heard, seed, failures)
    else:
        side = round(cut.size / CROP_SHARE)
        seen = VideoViews(1, cut.num_frames, cut.frame_rate, side, cut.size, random=True)
        check_ends(items, seen, paths, failures)
        source = VideoSource(paths, seen, seen, seed)
    return source, {item.item_id: item for item in items if item.item_id not in failures.unreadable}


def _divide(
    labeled: LabeledClips, clips: Sequence[Clip], options: FitOptions
) -> tuple[list[Clip], list[Clip], str]:
    """Return the training clips, the held-out clips, and the name of the held-out set."""
    for split in (TEST, VALIDATION):
        held_out = [clip for clip in clips if clip.split == split]
        if held_out:
            return [clip for clip in clips if clip.split != split], held_out, split
    known = [clip for clip in clips if clip.split == TRAIN]
    mask = held_out_masks(known, labeled.targets(known), options)[0]
    train = [clip for clip, held in zip(known, mask, strict=True) if not held]
    return train, [clip for clip, held in zip(known, mask, strict=True) if held], HELD_OUT
