# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Zero-shot classification: compares items with class names as sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.data.datasets.published import TEST
from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.classification import Scorer, SplitClassification
from mmv_tf.evaluation.classification_metrics import usable_classes
from mmv_tf.evaluation.declaration import Benchmark, ZeroShot
from mmv_tf.evaluation.listed_media import ListedMedia, Options
from mmv_tf.evaluation.listing import Item, Listing, shown
from mmv_tf.evaluation.results import TaskScores
from mmv_tf.inference import Encoder
from mmv_tf.inference.network import TEXT, unit

PLACE = "{}"
# Between a lowercase letter or digit and a capital, and before the last of several capitals.
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def class_text(name: str) -> str:
    """Return a class name as words, from either "ApplyEyeMakeup" or "apply_eye_makeup".

    Example:
    >>> class_text("ApplyEyeMakeup"), class_text("brush_hair"), class_text("TVMonitor")
    ('apply eye makeup', 'brush hair', 'tv monitor')
    """
    return " ".join(_CAMEL.sub(" ", name.replace("_", " ")).split()).lower()


def class_embeddings(
    encoder: Encoder,
    texts: Sequence[str],
    space: str,
    templates: Sequence[str] = (PLACE,),
    allow_unknown: bool = False,
) -> np.ndarray:
    """Return a unit vector for each class, float32 [classes, D].

    It is the mean of the unit-length embeddings of the class's sentences, one per template.

    Args:
      encoder: the model.
      texts: the classes as words.
      space: the embeddings' space.
      templates: sentences with "{}" for the class name.
      allow_unknown: accept classes without any word known to the model.

    Raises:
      ValueError: a template does not contain "{}" exactly once, the model has no text input, or it
        knows none of a class's words.
    """
    for template in templates:
        if template.count(PLACE) != 1:
            raise ValueError(f"The template {template!r} must contain {PLACE} exactly once.")
    if not templates:
        raise ValueError(f"There are no templates; pass at least one, such as {PLACE!r}.")
    encoder.network.check_input(TEXT)
    unknown = [] if allow_unknown else unknown_texts(encoder, texts)
    if unknown:
        raise ValueError(
            f"For {len(unknown)} of {len(texts)} classes, the model knows none of the words: "
            f"{shown(unknown)}; use other words."
        )
    parts = [
        unit(encoder.embed_text([template.replace(PLACE, text) for text in texts],
                                allow_unknown=allow_unknown)[space])
        for template in templates
    ]  # fmt: skip
    return unit(np.stack(parts).mean(axis=0))


def unknown_texts(encoder: Encoder, texts: Sequence[str]) -> list[str]:
    """Return the texts that contain no word known to the model."""
    known = encoder.network.known(texts)
    return [text for text, there in zip(texts, known, strict=True) if not there]


class ZeroShotClassification(SplitClassification):
    """Score classes by the cosine similarity of their names and the items, without training.

    Args:
      benchmark: the protocol, whose classifier is a `ZeroShot`.
      encoder: the model's encoder.
      options: run settings.

    Raises:
      ValueError: the model can't compare text with the modality.
    """

    trains = False

    def __init__(self, benchmark: Benchmark, encoder: Encoder, options: Options):
        encoder.network.check_input(TEXT)
        self.encoder = encoder
        self.space = encoder.common_space(benchmark.modality, TEXT)
        super().__init__(benchmark, encoder, options, self.space)

    def scorer(self, media: ListedMedia) -> Scorer:
        """Extract the features of all test items; see the base class."""
        benchmark, declared = self.benchmark, self.benchmark.classifier
        if not isinstance(declared, ZeroShot):
            raise ValueError(
                f"{benchmark.name} declares {declared}, which is not a zero-shot classifier."
            )
        store = features_lib.extract(
            self.extractor, media.readable(TEST), media.paths, benchmark.test_views,
            media.failures, media.cache, self.options.seed,
        )  # fmt: skip

        def score(
            listing: Listing, train: Sequence[Item], test: Sequence[Item]
        ) -> tuple[np.ndarray, dict[str, Any]]:
            del train
            test = media.failures.without(test)
            texts = [declared.names.get(name) or class_text(name) for name in listing.classes]
            classes = class_embeddings(
                self.encoder, texts, self.space, declared.templates, declared.allow_unknown
            )
            items = unit(features_lib.pooled(store, test, self.space))
            detail = {"space": self.space, "unknown": unknown_texts(self.encoder, texts)}
            return items @ classes.T, detail

        return score

    def run(self, media: ListedMedia) -> TaskScores:
        """Score all splits; the metrics include chance levels."""
        found = super().run(media)
        metrics = found.metrics["test"]
        if "mAP" in metrics:
            labels: Any = found.scored["test"].labels
            usable = usable_classes(labels)
            shares = [(labels[:, one] == 1).sum() / (labels[:, one] >= 0).sum() for one in usable]
            metrics["mAP"]["chance"] = float(np.mean(shares))
        else:
            counts = [len(listing.classes) for listing in media.listings.values()]
            for k in (1, 5):
                chance = np.mean([min(1.0, k / count) for count in counts])
                metrics[f"top_{k}"]["chance"] = float(chance)
        return found
