# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Retrieval benchmarks, in all directions between modalities that the model and the media share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmv_tf.evaluation import features as features_lib
from mmv_tf.evaluation.declaration import AudioViews, Benchmark, VideoViews
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.listed_media import ListedMedia, Options
from mmv_tf.evaluation.listing import Item, shown
from mmv_tf.evaluation.results import Scored, TaskScores, summarize
from mmv_tf.evaluation.retrieval import (
    chance_metrics,
    grouped_p_values,
    permutation_p_value,
    ranks,
)
from mmv_tf.inference import Encoder

logger = logging.getLogger(__name__)

# Ours: the p-value needs the whole matrix of ranks in memory.
_MAX_PERMUTED = 5000

Embeddings = dict[str, dict[str, np.ndarray]]  # modality -> space -> float32 [N, dim]


class Retrieval:
    """Rank the items of one modality by their similarity to those of another.

    Args:
      benchmark: the protocol.
      encoder: the model's encoder.
      options: run settings.

    Raises:
      ValueError: the model can't compare text with video.
    """

    def __init__(self, benchmark: Benchmark, encoder: Encoder, options: Options):
        self.benchmark, self.encoder, self.options = benchmark, encoder, options
        network = encoder.network
        if "video" not in network.modalities:
            raise ValueError(f"{benchmark.name} needs a video model; got an image model.")
        network.check_input("text")
        names = sorted(self._spaces("video"))
        self.extractor = Extractor(encoder, benchmark.modality, names, options.batch_size)

    def _spaces(self, modality: str) -> set[str]:
        """Return the spaces in which a modality is compared with other modalities."""
        network = self.encoder.network
        network.common_space("text", "video")  # the protocol's own direction
        spaces = set()
        for other in network.modalities:
            if other not in (modality, "image"):
                try:
                    spaces.add(network.common_space(modality, other))
                except ValueError:
                    continue  # A disjoint model can't compare audio with text.
        return spaces

    def run(self, media: ListedMedia) -> TaskScores:
        """Score all directions."""
        views = self.benchmark.test_views
        if not isinstance(views, VideoViews):
            raise ValueError(f"{self.benchmark.name}: retrieval needs video test_views.")
        items = media.failures.without([item for _, item in media.tested])
        store = features_lib.extract(
            self.extractor, items, media.paths, views, media.failures, media.cache,
            self.options.seed,
        )  # fmt: skip
        items = media.failures.without(items)
        found: Embeddings = {
            "video": {
                name: features_lib.pooled(store, items, name) for name in self.extractor.names
            },
        }
        found["text"], unknown = self._sentences(items)
        details: dict[str, Any] = {"sentences_without_known_words": unknown}
        if "audio" in self.encoder.accepts:
            details |= self._audio(items, views, media, found)
        elif "audio" in self.encoder.modalities:
            logger.warning("Skipping directions with audio: %s", self.encoder.refusal("audio"))
        scored, metrics = {}, {}
        for query in found:
            for item in found:
                direction = self._direction(query, item, found, items)
                if direction is not None:
                    scored[f"{query} -> {item}"], metrics[f"{query} -> {item}"] = direction
        order = ["text -> video", *(name for name in scored if name != "text -> video")]
        return TaskScores(
            {name: scored[name] for name in order}, {name: metrics[name] for name in order}, details
        )

    def _sentences(self, items: Sequence[Item]) -> tuple[dict[str, np.ndarray], int]:
        """Return the embeddings of the sentences, and the number of those without a known word."""
        text = Extractor(self.encoder, "text", sorted(self._spaces("text")), batch_size=256)
        sentences = [item.text for item in items]
        found = text(np.array(sentences))
        known = text.known(sentences)
        zero = [not values.any() for values in next(iter(found.values()))]
        mute = [name for name, nothing in zip(sentences, zero & ~known, strict=True) if nothing]
        if mute:
            raise ValueError(
                f"{len(mute)} of {len(items)} sentences contain no word known to the model, and "
                f"can't be embedded: {shown(mute)}. Use a model whose vocabulary has these words."
            )
        return found, int((~known).sum())

    def _audio(
        self, items: Sequence[Item], views: VideoViews, media: ListedMedia, found: Embeddings
    ) -> dict[str, Any]:
        """Add audio embeddings if every item has audio; otherwise count the items without it."""
        extractor = Extractor(
            self.encoder, "audio", sorted(self._spaces("audio")), self.options.batch_size
        )
        # At the same times as the frames.
        seconds = views.num_frames / views.frame_rate
        silent = features_lib.Failures(allowed=len(items))
        store = features_lib.extract(
            extractor, items, media.paths, AudioViews(views.windows, seconds), silent, media.cache
        )
        if silent.unreadable:
            logger.warning(
                "%d of %d videos have no audio (%s); directions with audio are skipped.",
                len(silent.unreadable), len(items), shown(list(silent.unreadable)),
            )  # fmt: skip
        else:
            found["audio"] = {
                name: features_lib.pooled(store, items, name) for name in extractor.names
            }
        return {"without_sound": len(silent.unreadable)}

    def _direction(
        self, query: str, item: str, found: Embeddings, items: Sequence[Item]
    ) -> tuple[Scored, dict[str, Any]] | None:
        if query == item:
            return None
        try:
            space = self.encoder.common_space(query, item)
        except ValueError:
            return None
        pair = found[query][space], found[item][space]
        try:
            rank = ranks(*pair)
        except ValueError as error:
            raise ValueError(f"{query} -> {item}: {error}") from error
        scored = Scored(
            ids=np.array([one.item_id for one in items]),
            groups=np.array([one.group or one.item_id for one in items]),
            splits=np.full(len(items), self.benchmark.splits[0]),
            ranks=rank,
        )
        summary: dict[str, Any] = {"space": space, **summarize(scored, retrieval=True)}
        count = len(items)
        summary["chance"] = chance_metrics(count)
        if count <= _MAX_PERMUTED:
            summary["p_value"] = permutation_p_value(*pair, seed=self.options.seed)
            summary |= grouped_p_values(*pair, scored.groups, seed=self.options.seed)
        return scored, summary
