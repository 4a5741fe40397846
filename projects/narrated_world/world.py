# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The narrated world as a data set: unlimited clips, determined by seed and number."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np
import tensorflow as tf

from mmv_tf.data.reading.settings import LogMel
from projects.narrated_world import counter_random, narration, scenes
from projects.narrated_world.rendering import Renderer
from projects.narrated_world.sound import Synthesizer

# Clip numbers are shuffled within pieces of this size, which consist of whole episodes; ours.
_PIECE = 4096
_WHOLE_PART = (1.0, 0.0, 0.0)


def default_config() -> ml_collections.ConfigDict:
    """Return the world's settings; all are ours unless a comment states a source."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            "size": 64,
            "num_frames": 8,
            "frame_rate": 4.0,
            "sample_rate": 16_000,
            "candidates": 5,  # VATT (Akbari et al., 2021)
            "batch_size": 64,
            "persistence": 0.5,
            # Narrations about this clip, the previous clip, the next clip, nothing visible.
            "about_shares": (0.45, 0.2, 0.15, 0.2),
            # Clips with everything, without narrations, without video.
            "part_shares": (0.7, 0.2, 0.1),
        }
    )


@functools.lru_cache(maxsize=16)
def _shuffled(seed: int, piece: int, count: int) -> np.ndarray:
    """Return a permutation of range(count) that depends only on (seed, piece)."""
    return np.argsort(counter_random.bits(seed, "order", piece, np.arange(count)), kind="stable")


def shuffled_positions(seed: int, positions: np.ndarray, count: int) -> np.ndarray:
    """Shuffle numbers within pieces of `count` consecutive numbers.

    Args:
      seed: seed for the order.
      positions: non-negative int [N].
      count: size of a piece.
    """
    pieces, places = np.divmod(np.asarray(positions, np.int64), count)
    result = np.empty_like(pieces)
    for piece in np.unique(pieces):
        chosen = pieces == piece
        result[chosen] = piece * count + _shuffled(seed, int(piece), count)[places[chosen]]
    return result


@dataclasses.dataclass(frozen=True)
class Clips:
    """Raw clips of the world, before a model's preprocessing.

    Attributes:
      scenes: the facts from which they are generated.
      video: uint8 [N, num_frames, size, size, 3]; zeros if there is no video.
      waveform: float32 [N, samples] in [-1, 1].
      narrations: [N][P] texts, nearest first; "" if missing.
      right: booleans [N, P], True for narrations about the clip itself.
    """

    scenes: scenes.Scenes
    video: np.ndarray
    waveform: np.ndarray
    narrations: list[list[str]]
    right: np.ndarray

    def factors(self) -> dict[str, np.ndarray]:
        """Return the labels by factor, see `Scenes.factors`."""
        return self.scenes.factors()

    def example_ids(self) -> list[str]:
        """Return ids that are unique across all worlds."""
        return [f"narrated_world_{self.scenes.seed}_{index:09d}" for index in self.scenes.index]


class NarratedWorld:
    """Clips with consistent video, audio and narrations; see `scenes`, `sound`, `narration`.

    Args:
      config: see `default_config`.
      tokenizer: converts narrations to word ids; without it, there is no "text".
      log_mel: converts waveforms to the audio backbone's input; without it, there is no "audio".

    Batches have the same form as `Reader`'s, plus the factors' labels: "video" float32 [B, T, size,
    size, 3] in [0, 1]; "audio" float32 [B, frames, mel_bins, 1]; "text" int32 [B, P, words];
    "valid/video", "valid/audio" booleans [B] and "valid/text" [B, P]; "factors/NAME" int32 [B];
    "label" (the kind of motion) int32 [B]; "example_id" string [B].

    Raises:
      ValueError: a size is not positive, or the sample rate differs from the model's.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Callable[[Any], tf.Tensor] | None = None,
        log_mel: LogMel | None = None,
    ):
        for name in ("size", "num_frames", "frame_rate", "candidates", "batch_size"):
            if not config[name] > 0:
                raise ValueError(f"{name} is {config[name]}; it must be positive.")
        if log_mel is not None and log_mel.sample_rate != config.sample_rate:
            raise ValueError(
                f"The world's sample rate is {config.sample_rate} Hz, but the model's is "
                f"{log_mel.sample_rate} Hz; set the world's sample_rate to {log_mel.sample_rate}."
            )
        self.config = config
        self.tokenizer = tokenizer
        self.log_mel = log_mel
        self.clip_seconds = config.num_frames / config.frame_rate
        self._render = Renderer(config.size, config.num_frames, config.frame_rate)
        self._synthesize = Synthesizer(config.sample_rate, self.clip_seconds)
        self.narrator = narration.Narrator(
            config.seed, config.persistence, tuple(config.about_shares), self.clip_seconds
        )

    def scenes(self, index: np.ndarray, coarse: np.ndarray | None = None) -> scenes.Scenes:
        """Return the facts of the given clips; if `coarse` [N, 3] is set, no part is missing."""
        parts = tuple(self.config.part_shares) if coarse is None else _WHOLE_PART
        return scenes.draw(self.config.seed, index, self.config.persistence, parts, coarse)

    def clips(self, index: np.ndarray, coarse: np.ndarray | None = None) -> Clips:
        """Generate clips.

        Args:
          index: clip numbers, non-negative int [N], in any order.
          coarse: optional int [N, 3], see `scenes.draw`. If set, each clip has one narration, which
            names its three coarse facts.
        """
        index = np.asarray(index, np.int64)
        drawn = self.scenes(index, coarse)
        video, waveform = self._render(drawn), self._synthesize(drawn)
        video[drawn.part == scenes.AUDIO_ONLY] = 0
        if coarse is None:
            texts, _, right = self.narrator.candidates(index, self.config.candidates)
        else:
            texts = [[text] for text in narration.queries(self.config.seed, index, coarse)]
            right = np.ones([len(index), 1], bool)
        silent = drawn.part == scenes.NO_TEXT
        texts = [[""] * len(row) if no else row for row, no in zip(texts, silent, strict=True)]
        return Clips(drawn, video, waveform, texts, right & ~silent[:, None])

    def train(self, seed: int, start: int = 0) -> tf.data.Dataset:
        """Return endless batches of new clips, in shuffled order.

        Args:
          seed: seed for the order; the clips depend on the world's seed.
          start: number of examples to skip first, for a resumed run.
        """
        size = self.config.batch_size
        positions = tf.data.Dataset.range(start, np.iinfo(np.int64).max - size)

        def indices(batch: np.ndarray) -> np.ndarray:
            return shuffled_positions(seed, batch, _PIECE)

        return self._dataset(positions.batch(size, drop_remainder=True), indices)

    def evaluate(self, count: int) -> tf.data.Dataset:
        """Return clips 0 to count - 1 in order, in batches; the last batch may be smaller."""
        return self._dataset(tf.data.Dataset.range(count).batch(self.config.batch_size))

    def batch(self, index: np.ndarray, coarse: np.ndarray | None = None) -> dict[str, tf.Tensor]:
        """Return the given clips as a single batch; arguments as for `clips`."""
        clips = self.clips(index, coarse)
        return self._preprocess(self._arrays(clips))

    def _dataset(
        self,
        positions: tf.data.Dataset,
        indices: Callable[[np.ndarray], np.ndarray] = lambda batch: batch,
    ) -> tf.data.Dataset:
        example = self._arrays(self.clips(np.zeros([1], np.int64)))
        names = list(example)

        def generate(batch: np.ndarray) -> list[Any]:
            arrays = self._arrays(self.clips(indices(batch)))
            return [arrays[name] for name in names]

        def arrays(batch: tf.Tensor) -> dict[str, tf.Tensor]:
            types = [tf.as_dtype(example[name].dtype) for name in names]
            # The result depends only on the argument, so a checkpoint can store the iterator.
            values = tf.numpy_function(generate, [batch], types, stateful=False)
            rows = batch.shape[0]
            for name, value in zip(names, values, strict=True):
                value.set_shape([rows, *example[name].shape[1:]])
            return dict(zip(names, values, strict=True))

        workers = os.cpu_count() or 1
        dataset = positions.map(arrays, num_parallel_calls=workers, deterministic=True)
        dataset = dataset.map(self._preprocess)
        options = tf.data.Options()
        options.autotune.enabled = False  # see `reader`
        return dataset.with_options(options).prefetch(2)

    def _arrays(self, clips: Clips) -> dict[str, np.ndarray]:
        """Return a batch as NumPy arrays, before log-mel and tokenizer."""
        drawn = clips.scenes
        labels = clips.factors()
        arrays = {
            "video": clips.video,
            "waveform": clips.waveform,
            "narrations": np.array([[t.encode() for t in row] for row in clips.narrations], object),
            "right": clips.right,
            "valid/video": drawn.part != scenes.AUDIO_ONLY,
            "example_id": np.array([name.encode() for name in clips.example_ids()], object),
            "label": labels["motion"],
        }
        return arrays | {f"factors/{name}": values for name, values in labels.items()}

    def _preprocess(self, arrays: dict[str, Any]) -> dict[str, tf.Tensor]:
        batch = {name: tf.convert_to_tensor(value) for name, value in arrays.items()}
        batch["video"] = tf.cast(batch["video"], tf.float32) / 255.0
        waveform, narrations = batch.pop("waveform"), batch.pop("narrations")
        if self.log_mel is not None:
            batch["audio"] = self.log_mel(waveform)
            batch["valid/audio"] = tf.ones_like(batch["valid/video"])
        if self.tokenizer is not None:
            batch["text"] = self.tokenizer(narrations)
            batch["valid/text"] = tf.reduce_any(batch["text"] != 0, axis=-1)
        return batch


def all_combinations() -> np.ndarray:
    """Return every combination of coarse facts once: int64 [216, 3], in order."""
    counts = [range(count) for count in scenes.COARSE.values()]
    return np.array(list(itertools.product(*counts)), np.int64)
