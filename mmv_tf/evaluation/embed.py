# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Embeds all clips in a data set."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from mmv_tf.data import Reader
from mmv_tf.data.reading.value_checks import faulty_rows, refuse_faulty
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import Encoder, as_encoder
from mmv_tf.inference.network import BACKBONE_KINDS
from mmv_tf.util.progress import Progress

# Values that the reader returns for each window but that belong to the clip.
_PER_CLIP = ("caption", "label", "example_id", "clip_start", "clip_end")


@dataclasses.dataclass(frozen=True)
class ClipEmbeddings:
    """Embeddings of N clips.

    Attributes:
      features: "MODALITY/before_head" and "MODALITY/SPACE" -> float32 [N, dim], averaged over the
        windows of each clip, not normalized.
      valid: modality -> booleans [N].
      example_ids, captions: N strings; a clip's caption is the narration closest to its middle.
      labels: int32 [N], -1 for none.
      starts, ends: float32 [N], times in the source in seconds.
    """

    features: dict[str, np.ndarray]
    valid: dict[str, np.ndarray]
    example_ids: list[str]
    captions: list[str]
    labels: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.example_ids)


class ClipEmbedder:
    """Embed data sets with one model, tracing it once.

    Args:
      model: the model.
    """

    def __init__(self, model: Encoder | EmbeddingGraph):
        self._network = as_encoder(model).network

    def _embed(self, modality: str, windows: tf.Tensor) -> dict[str, np.ndarray]:
        """Embed [B, windows, ...] and average over windows: MODALITY/NAME -> [B, dim]."""
        count, each = windows.shape[:2]
        flat = tf.reshape(windows, [count * each, *windows.shape[2:]])
        features = self._network.run(BACKBONE_KINDS[modality], flat)
        features.pop("last_conv", None)
        return {
            f"{modality}/{name}": value.reshape(count, each, -1).mean(axis=1)
            for name, value in features.items()
        }

    def __call__(self, reader: Reader) -> ClipEmbeddings:
        """Embed all clips in a split, in order.

        Raises:
          ValueError: the number of clips differs from that in the manifest, or a clip or an
            embedding is not finite or out of range.
        """
        expected = reader.num_examples()
        collected: dict[str, list[np.ndarray]] = {}
        with (
            Progress(expected, f"embed {reader.config.split}", "clips") as progress,
            reader.explained(),
        ):
            for batch in reader.evaluate():
                for key, value in self._numbers(batch).items():
                    collected.setdefault(key, []).append(value)
                progress.update(len(batch["example_id"]))
        arrays = {key: np.concatenate(parts) for key, parts in collected.items()}
        found = len(arrays.get("example_id", ()))
        if found != expected:
            raise ValueError(
                f"{found} clips were read from {reader.directory}; its manifest lists {expected}; "
                "check the shards."
            )
        return _as_embeddings(arrays)

    def _numbers(self, batch: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
        """Return the values to keep from a batch, one row per clip."""
        names = [name.decode(errors="replace") for name in batch["example_id"][:, 0].numpy()]
        numbers: dict[str, np.ndarray] = {}
        for modality in self._network.modalities:
            if modality not in batch:
                continue
            # The narration is the same for all windows of a clip.
            windows = batch[modality][:, 0] if modality == "text" else batch[modality]
            refuse_faulty(modality, faulty_rows(modality, windows).numpy(), names)
            numbers |= self._embed(modality, windows)
            flags = batch.get(f"valid/{modality}")
            if flags is not None:
                numbers[f"valid/{modality}"] = flags.numpy().reshape(len(names), -1).all(axis=1)
        return numbers | {key: batch[key][:, 0].numpy() for key in _PER_CLIP if key in batch}


def _as_embeddings(arrays: dict[str, np.ndarray]) -> ClipEmbeddings:
    features = {
        key: value for key, value in arrays.items() if "/" in key and not key.startswith("valid/")
    }
    for key, value in features.items():
        if not np.isfinite(value).all():
            raise ValueError(f"The model's {key} is not finite for some clips.")

    def strings(key: str) -> list[str]:
        return [value.decode(errors="replace") for value in arrays.get(key, ())]

    return ClipEmbeddings(
        features=features,
        valid={
            key.removeprefix("valid/"): value
            for key, value in arrays.items()
            if key.startswith("valid/")
        },
        example_ids=strings("example_id"),
        captions=strings("caption"),
        labels=arrays["label"],
        starts=arrays["clip_start"],
        ends=arrays["clip_end"],
    )
