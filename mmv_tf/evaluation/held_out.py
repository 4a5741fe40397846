# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Retrieval and loss on held-out clips during training."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.data import Reader, config_for_network
from mmv_tf.data.reading.mixing import evaluated_parts
from mmv_tf.data.reading.value_checks import faulty_rows, refuse_faulty
from mmv_tf.evaluation.held_out_measures import (
    DIRECTIONS,
    KEPT,
    clips_to_log,
    losses,
    retrieval_metrics,
)
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import GraphNetwork
from mmv_tf.inference.network import BACKBONE_KINDS, REPRESENTATIONS
from mmv_tf.losses import Objective
from mmv_tf.training.logging import HeldOutClips
from mmv_tf.util.spacing import evenly_spaced

# Settings for reading records, as in training.
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
    "cache_dir",
    "cache_gb",
)
_MODALITIES = ("video", "audio", "text")


class HeldOutRetrieval:
    """Retrieval among the first clips in a split, by narration or audio.

    One window is taken from the middle of each clip. Clips without audio or narration are excluded
    from the directions that need it.

    Args:
      data: reader settings for the training data; `data.parts.evaluated_parts` selects the parts of
        a mixture, which are evaluated separately.
      split: split to read, unless the mixture names one.
      clips: maximum number of clips per data set.
      batch_size: clips per batch; by default, the training batch size.
      objective: training objective, to compute the loss; None for no loss. The loss is the mean
        over full batches, each with its own negatives, one sentence per clip and no augmentation.
        With fewer clips than one batch, it is over these clips, and is lower because there are
        fewer negatives.
      clips_to_show: clips from the first batch to keep for a log, evenly spaced; 0 for none.

    Attributes:
      parts: reader settings by data set name, "" for the first. `experiment.run` checks them before
        a run starts, and removes those that can't be evaluated and were not requested.
      shown: clips to log from the last evaluation, by the same names.
    """

    def __init__(
        self,
        data: ml_collections.ConfigDict,
        split: str,
        clips: int,
        batch_size: int | None = None,
        objective: Objective | None = None,
        clips_to_show: int = 0,
    ):
        self.parts = evaluated_parts(data, split)
        self._clips = clips
        self._batch_size = data.batch_size if batch_size is None else batch_size
        self._objective = objective
        self._clips_to_show = clips_to_show
        self.shown: dict[str, HeldOutClips] = {}
        self._network: GraphNetwork | None = None
        # By directory and split: creating readers takes longer than reading a few clips.
        self._datasets: dict[tuple[str, str], tf.data.Dataset] = {}

    @property
    def names(self) -> list[str]:
        """Metric names for a model with all modalities; see `__call__`."""
        names = [f"{query}_to_{item}/{key}" for query, item in DIRECTIONS for key in KEPT]
        if self._objective is not None:
            names += ["loss", *(f"loss/{pair}" for pair in self._objective.pairs)]
        return [f"{part}/{name}" if part else name for part in self.parts for name in names]

    def __call__(
        self, model: EmbeddingGraph, interrupted: Callable[[], bool] = lambda: False
    ) -> dict[str, float] | None:
        """Evaluate the model.

        Args:
          model: the model; the same in every call, but its weights may change.
          interrupted: called before each batch; returning True ends the evaluation.

        Returns:
          "text_to_video/R@1", ".../median_rank", ".../count" and so on, for directions with a
          common space and at least two clips, and "loss" with its terms, such as "loss/va"; None if
          interrupted. Data sets after the first have their name as a prefix:
          "audioset/video_to_audio/R@1".
        """
        metrics: dict[str, float] = {}
        for name, data in self.parts.items():
            found = self._evaluate(model, name, data, interrupted)
            if found is None:
                return None
            metrics |= {f"{name}/{key}" if name else key: value for key, value in found.items()}
        return metrics

    def _evaluate(
        self,
        model: EmbeddingGraph,
        part: str,
        data: ml_collections.ConfigDict,
        interrupted: Callable[[], bool],
    ) -> dict[str, float] | None:
        """Return the metrics for one data set, or None if interrupted."""
        embeddings: dict[str, list[np.ndarray]] = {}
        media: dict[str, np.ndarray] = {}
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
            if self._clips_to_show:
                captions = batch["caption"][:, 0].numpy() if "caption" in batch else None
                embeddings.setdefault("caption", []).append(_texts(captions, len(names)))
                embeddings.setdefault("name", []).append(np.array(names, object))
                media = media or self._media(inputs, len(names))
            for key, value in self._embedded(model, inputs).items():
                embeddings.setdefault(key, []).append(value)
            for modality in inputs:
                key = f"valid/{modality}"
                embeddings.setdefault(key, []).append(flat[key].numpy())
            seen += len(flat["video"])
            if seen >= self._clips:
                break
        arrays = {key: np.concatenate(parts)[: self._clips] for key, parts in embeddings.items()}
        if media:
            self.shown[part] = clips_to_log(model, arrays, media)
        metrics = retrieval_metrics(model, arrays)
        if self._objective is not None:
            metrics |= losses(model, self._objective, arrays, self._batch_size)
        return metrics

    def _media(self, inputs: Mapping[str, tf.Tensor], count: int) -> dict[str, np.ndarray]:
        """Return what is shown of the first batch: "rows", "video" (uint8) and "audio"."""
        rows = evenly_spaced(count, self._clips_to_show)
        frames = np.round(inputs["video"].numpy()[rows] * 255.0).astype(np.uint8)
        media = {"rows": rows, "video": frames}
        if "audio" in inputs:
            media["audio"] = inputs["audio"].numpy()[rows, ..., 0]
        return media

    def _batches(self, model: EmbeddingGraph, data: ml_collections.ConfigDict) -> tf.data.Dataset:
        own = {key: data[key] for key in _READING if key in data}
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


def _texts(values: np.ndarray | None, count: int) -> np.ndarray:
    """Return a batch's captions as an array of str; "" where there is none."""
    if values is None:
        return np.full(count, "", object)
    return np.array([value.decode(errors="replace") for value in values], object)
