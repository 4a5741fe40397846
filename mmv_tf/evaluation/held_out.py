# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Retrieval on held-out clips during training."""

from __future__ import annotations

from collections.abc import Callable

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.data import Reader, config_for_network
from mmv_tf.data.reading.mixing import evaluated_parts
from mmv_tf.data.reading.value_checks import faulty_rows, refuse_faulty
from mmv_tf.evaluation.retrieval import rank_metrics, ranks
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import GraphNetwork
from mmv_tf.inference.network import BACKBONE_KINDS, REPRESENTATIONS

# Settings of reading records, as in training.
_READING = (
    "resample",
    "short_clips",
    "on_bad_record",
    "max_bad_fraction",
    "inspect",
    "records",
    "files",
    "stored_frame_rate",
    "stored_sample_rate",
)
# Logged metrics of retrieval.
_KEPT = ("R@1", "R@5", "R@10", "median_rank", "mean_rank", "count")
_MODALITIES = ("video", "audio", "text")
# Query and item, compared in their common space.
_DIRECTIONS = (("text", "video"), ("video", "audio"), ("text", "audio"))


class HeldOutRetrieval:
    """Retrieval among the first clips of a split, by narration or audio.

    One window is taken from the middle of each clip. Clips without audio or narration are excluded
    from the directions that need it.

    Args:
      data: reader settings of the training data; `data.parts.evaluated_parts` chooses the parts of
        a mixture, which are evaluated separately.
      split: split to read, unless the mixture names one.
      clips: most clips per data set.
      batch_size: clips per batch; default: that of training.

    Attributes:
      parts: settings of the readers by name, "" for the first; `experiment.run` checks them before
        a run starts, and removes those that can't be evaluated if nobody asked for them.
    """

    def __init__(
        self,
        data: ml_collections.ConfigDict,
        split: str,
        clips: int,
        batch_size: int | None = None,
    ):
        self.parts = evaluated_parts(data, split)
        self._clips = clips
        self._batch_size = data.batch_size if batch_size is None else batch_size
        self._network: GraphNetwork | None = None
        # By directory and split: making them takes longer than reading a few clips.
        self._datasets: dict[tuple[str, str], tf.data.Dataset] = {}

    @property
    def names(self) -> list[str]:
        """Names of the metrics that a model of all modalities has, see `__call__`."""
        return [
            f"{part}/{query}_to_{item}/{metric}" if part else f"{query}_to_{item}/{metric}"
            for part in self.parts
            for query, item in _DIRECTIONS
            for metric in _KEPT
        ]

    def __call__(
        self, model: EmbeddingGraph, interrupted: Callable[[], bool] = lambda: False
    ) -> dict[str, float] | None:
        """Evaluate the model.

        Args:
          model: always the same model; its weights may change between calls.
          interrupted: called before each batch; true ends the evaluation.

        Returns:
          "text_to_video/R@1", ".../mean_rank", ".../count" and so on, for directions with a
          common space and at least two clips; None if interrupted. Names of data sets after the
          first are prefixes: "audioset/video_to_audio/R@1".
        """
        metrics: dict[str, float] = {}
        for name, data in self.parts.items():
            found = self._evaluate(model, data, interrupted)
            if found is None:
                return None
            metrics |= {f"{name}/{key}" if name else key: value for key, value in found.items()}
        return metrics

    def _evaluate(
        self,
        model: EmbeddingGraph,
        data: ml_collections.ConfigDict,
        interrupted: Callable[[], bool],
    ) -> dict[str, float] | None:
        """Return the metrics of one data set, or None if interrupted."""
        embeddings: dict[str, list[np.ndarray]] = {}
        seen = 0
        place = (data.directory, data.split)
        if place not in self._datasets:
            self._datasets[place] = self._batches(model, data)
        for batch in self._datasets[place]:
            if interrupted():
                return None
            # One window per clip, and one narration.
            flat = {
                key: value[:, 0]
                for key, value in batch.items()
                if key.split("/")[-1] in _MODALITIES
            }
            for modality in model.modalities:
                if modality in flat:
                    valid = tf.reshape(flat[f"valid/{modality}"], [len(flat[modality]), -1])
                    flat[f"valid/{modality}"] = tf.reduce_all(valid, axis=1)
            if "text" in flat and flat["text"].shape.rank == 3:
                flat["text"] = flat["text"][:, 0]
            inputs = {m: flat[m] for m in model.modalities if m in flat}
            names = [name.decode(errors="replace") for name in batch["example_id"][:, 0].numpy()]
            for modality, values in inputs.items():
                refuse_faulty(modality, faulty_rows(modality, values).numpy(), names)
            for key, value in self._embedded(model, inputs).items():
                embeddings.setdefault(key, []).append(value)
            for modality in inputs:
                key = f"valid/{modality}"
                embeddings.setdefault(key, []).append(flat[key].numpy())
            seen += len(flat["video"])
            if seen >= self._clips:
                break
        arrays = {key: np.concatenate(parts)[: self._clips] for key, parts in embeddings.items()}
        return _metrics(model, arrays)

    def _batches(self, model: EmbeddingGraph, data: ml_collections.ConfigDict) -> tf.data.Dataset:
        own = {key: data[key] for key in _READING}
        config = config_for_network(
            model.metadata, data.directory, data.split, batch_size=self._batch_size, **own
        )
        return Reader(config, model.tokenizer, model.log_mel).evaluate()

    def _embedded(
        self, model: EmbeddingGraph, inputs: dict[str, tf.Tensor]
    ) -> dict[str, np.ndarray]:
        """Return embeddings, MODALITY/SPACE -> float32 [B, dim]."""
        if self._network is None:
            self._network = GraphNetwork(model)
        return {
            f"{modality}/{space}": value
            for modality, values in inputs.items()
            for space, value in self._network.run(BACKBONE_KINDS[modality], values).items()
            if space not in REPRESENTATIONS
        }


def _metrics(model: EmbeddingGraph, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    found: dict[str, float] = {}
    for query, item in _DIRECTIONS:
        try:
            space = model.common_space(query, item)
        except ValueError:  # this graph does not compare them
            continue
        if f"valid/{query}" not in arrays or f"valid/{item}" not in arrays:
            continue
        rows = arrays[f"valid/{query}"] & arrays[f"valid/{item}"]
        if rows.sum() < 2:
            continue
        rank = ranks(arrays[f"{query}/{space}"][rows], arrays[f"{item}/{space}"][rows])
        name = f"{query}_to_{item}"
        metrics = {**rank_metrics(rank), "count": float(rows.sum())}
        found |= {f"{name}/{key}": metrics[key] for key in _KEPT}
    return found
