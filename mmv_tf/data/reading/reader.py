# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads records as batches: parse, sample, decode, preprocess, batch, postprocess."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Callable
from typing import Any, cast

import ml_collections
import tensorflow as tf

from mmv_tf.data.integrity.damage import DamageReport
from mmv_tf.data.integrity.rules import Limits
from mmv_tf.data.reading import augmentation, ordering, pixels
from mmv_tf.data.reading.examples import Examples
from mmv_tf.data.reading.records import Records
from mmv_tf.data.reading.settings import Example, LogMel, Tokenizer
from mmv_tf.data.records.manifests import ShardEntry


class Postprocessing:
    """The last step of reading, applied to batches.

    Args:
      config: see `default_config`.
      tokenizer, log_mel, limits: see `Reader`.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Tokenizer | None,
        log_mel: LogMel | None,
        limits: Limits | None = None,
    ):
        self.config = config
        self._limits = limits
        self.tokenizer = tokenizer
        self._padding_id = getattr(tokenizer, "padding_id", 0)
        self.log_mel = log_mel

    def __call__(self, batch: Example) -> Example:
        """Convert a batch of examples to model input.

        Args:
          batch: batch of examples from `Examples`; leading dimensions are [B] or [B, windows].
        """
        batch = dict(batch)
        seeds = batch.pop("seed", None)
        if pixels.Plan.FRAMES in batch:
            batch = pixels.make_video(batch, self.config.size, self._limits)
        if "waveform" in batch:
            waveform = batch.pop("waveform")
            leading = tf.shape(waveform)[:-1]
            flat = cast(LogMel, self.log_mel)(tf.reshape(waveform, [-1, waveform.shape[-1]]))
            audio = tf.reshape(flat, tf.concat([leading, tf.shape(flat)[1:]], axis=0))
            batch["audio"] = tf.ensure_shape(audio, [*waveform.shape[:-1], *flat.shape[1:]])
        if "audio" in batch and seeds is not None:
            batch["audio"] = self._augment_audio(batch["audio"], seeds[:, 0])
        if "candidates" in batch:
            candidates = batch.pop("candidates")
            batch["caption"] = candidates[..., 0]
            if self.tokenizer is not None:
                batch["text"] = self.tokenizer(candidates)
                # A narration with only unknown words or stop words is invalid.
                batch["valid/text"] &= tf.reduce_any(batch["text"] != self._padding_id, axis=-1)
                if seeds is not None:
                    batch["text"] = self._augment_words(batch["text"], seeds[:, 1])
        return batch

    def _augment_audio(self, log_mels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Augment each spectrogram in [B, ...] with its own seed from [B, 2]."""
        config = self.config
        jitters = config.audio_gain > 0 or config.audio_noise > 0
        if not (jitters or config.audio_mask > 0):
            return log_mels

        def augment(log_mel: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            mask_seed, jitter_seed = tf.unstack(tf.random.split(seed, 2))
            if config.audio_mask > 0:
                log_mel = augmentation.mask_log_mel(log_mel, mask_seed, config.audio_mask)
            if jitters:
                log_mel = augmentation.jitter_log_mel(
                    log_mel, jitter_seed, config.audio_gain, config.audio_noise
                )
            return log_mel

        spec = tf.TensorSpec(log_mels.shape[1:], tf.float32)
        return tf.map_fn(lambda pair: augment(*pair), (log_mels, seeds), fn_output_signature=spec)

    def _augment_words(self, ids: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Augment the candidates of each example, [B, P, words], with its own seed from [B, 2]."""
        share = self.config.word_dropout
        if not share > 0:
            return ids
        spec = tf.TensorSpec(ids.shape[1:], tf.int32)
        return tf.map_fn(
            lambda pair: augmentation.drop_words(pair[0], pair[1], share, self._padding_id),
            (ids, seeds),
            fn_output_signature=spec,
        )


# Second half of the random keys, so that order and augmentation are independent.
_EXAMPLE_KEY = 2


class Reader:
    """Reads the shards in a directory.

    Args:
      config: settings; see `default_config`.
      tokenizer: layer that converts narrations to word ids; without it, there is no "text".
      log_mel: layer that converts waveforms to the input of the audio backbone; without it, there
        is no "audio". A stored log-mel is used unchanged if it was made with the same settings.
      limits: upper limits on records; anything above them counts as damage.

    Examples are dicts: "video" float32 [T, size, size, 3] in [0, 1]; "audio" float32 [frames,
    mel_bins, 1] covering the same time; "text" int32 [P, words], the narrations nearest in time;
    "valid/video" and "valid/audio", booleans, and "valid/text" [P]; "label" int32 (-1 if none);
    "example_id" string; "media_id" string, the source's name ("" if the record has none);
    "clip_start" and "clip_end", in seconds in the source; "caption", the nearest narration as text.

    Raises:
      ValueError: the directory holds no records, or their rates are not the model's.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Tokenizer | None,
        log_mel: LogMel | None,
        limits: Limits | None = None,
    ):
        self.config = config
        self.tokenizer = tokenizer
        self.log_mel = log_mel
        rate = log_mel.sample_rate if log_mel is not None else None
        self._records = Records(config, Limits() if limits is None else limits, rate)
        self._examples = Examples(config, self._records, log_mel)
        self._postprocessing = Postprocessing(config, tokenizer, log_mel, limits)

    @property
    def directory(self) -> pathlib.Path:
        """The shards' directory."""
        return self._records.directory

    @property
    def manifest(self) -> dict[str, Any]:
        """The data's manifest; for records from other tools, values from the settings."""
        return self._records.manifest

    @property
    def is_video(self) -> bool:
        """True if the records are stored as video; see `prepare_data --store`."""
        return self._records.is_video

    def splits(self) -> list[str]:
        """Return the splits that `config.split` names, which may join several with "+"."""
        return self._records.splits()

    def shards(self) -> list[ShardEntry]:
        """Return the split's shards; for other tools' records, all that match `config.files`."""
        return self._records.shards()

    def files(self) -> list[str]:
        """Return the paths to the split's shards."""
        return [str(shard.path) for shard in self.shards()]

    def num_examples(self) -> int:
        """Return the number of examples in the split, not counting damaged records."""
        return self._records.num_good()

    def damage(self) -> DamageReport:
        """Return a report on the records left out; empty if they were not inspected.

        Raises:
          DamagedDataError: there is damage and `config.on_bad_record` is "stop", or there is more
            than `config.max_bad_fraction` allows.
        """
        return self._records.damage()

    def first_media_id(self) -> str:
        """Return the source's name in the first record; "" if it has none."""
        parse = self._examples.parse
        records = ordering.in_order(self._records).take(1)
        for parsed in records.map(parse):
            return str(parsed["media_id"].numpy().decode(errors="replace"))
        return ""

    def explained(self) -> contextlib.AbstractContextManager[None]:
        """Raise errors inside the context as `DamagedDataError`s that name the shard and record."""
        return self._records.explained()

    def train(
        self,
        seed: int,
        start: int = 0,
        worker: int = 0,
        workers: int = 1,
        batch_size: int | None = None,
    ) -> tf.data.Dataset:
        """Return endless shuffled and augmented batches.

        Args:
          seed: seed for order and augmentation.
          start: number of this worker's examples to skip when a run resumes; they are read but not
            decoded.
          worker, workers: this worker's index and the number of workers; each takes an equal share
            of every epoch's records.
          batch_size: this worker's batch size; by default, `config.batch_size`.

        Returns:
          A dataset of batched examples with static shapes.
        """
        examples = self.training_examples(seed, start, worker, workers)
        return self.batches(examples, self.config.batch_size if batch_size is None else batch_size)

    def evaluate(
        self, pad: bool = False, worker: int = 0, workers: int = 1, batch_size: int | None = None
    ) -> tf.data.Dataset:
        """Return every example once, in order, in batches [B, windows, ...]; the last is smaller.

        Windows are evenly spaced, crops are central and nothing is augmented. "text" is [B, 1,
        words], the clip's own narration (see docs/reading.md), and "caption" is that narration.

        Args:
          pad: whether to fill up the last batch, and give all workers the same number of batches,
            with rows in which all "valid/..." are false and "example_id" is empty;
            "valid/example" is true for real rows.
          worker, workers: this worker's index and the number of workers; they take records in turn.
          batch_size: this worker's batch size; by default, `config.batch_size`.
        """
        size = self.config.batch_size if batch_size is None else batch_size
        self.damage()
        records = ordering.in_order(self._records).shard(workers, worker)
        examples = _decoded(records, self._examples.evaluation)
        if pad:
            most = -(-self.num_examples() // workers)
            total = -(-most // size) * size
            examples = examples.map(lambda x: x | {"valid/example": tf.constant(True)})
            examples = examples.concatenate(_blanks(examples.element_spec)).take(total)
        return self.batches(examples, size, drop_remainder=pad)

    def training_examples(
        self, seed: int, start: int = 0, worker: int = 0, workers: int = 1
    ) -> tf.data.Dataset:
        """Return endless examples before batching; see `train`."""
        self.damage()
        records = ordering.epochs(self._records, seed, start, worker, workers)
        return _decoded(records, self._training_example(seed))

    def service_examples(self, seed: int) -> tf.data.Dataset:
        """Return endless examples in a form that the tf.data service can distribute."""
        self.damage()
        return _decoded(ordering.visits(self._records, seed), self._training_example(seed))

    def batches(
        self, examples: tf.data.Dataset, batch_size: int, drop_remainder: bool = True
    ) -> tf.data.Dataset:
        """Batch examples and postprocess the batches."""
        dataset = examples.batch(batch_size, drop_remainder)
        return dataset.map(self.postprocess, num_parallel_calls=2, deterministic=True).prefetch(2)

    def postprocess(self, batch: Example) -> Example:
        """Convert a batch of `training_examples` to model input; see `Postprocessing`."""
        return self._postprocessing(batch)

    def _training_example(self, seed: int) -> Callable[..., Example]:
        base = tf.constant([seed, _EXAMPLE_KEY], tf.int32)

        def example(
            shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor, epoch: tf.Tensor
        ) -> Example:
            return self._examples.training(shard, number, record, tf.random.fold_in(base, epoch))

        return example


def _decoded(records: tf.data.Dataset, example: Callable[..., Any]) -> tf.data.Dataset:
    """Apply `example` to all records, in order, on all cores."""
    options = tf.data.Options()
    # The autotune thread sleeps for up to a minute, and ending an iterator waits for it.
    options.autotune.enabled = False
    dataset = records.map(example, num_parallel_calls=os.cpu_count() or 1, deterministic=True)
    return dataset.with_options(options)


def _blanks(spec: Any) -> tf.data.Dataset:
    """Return endless rows of zeros, false and empty strings with the shapes of `spec`."""

    def blank(part: tf.TensorSpec) -> tf.Tensor:
        return (
            tf.fill(part.shape, "") if part.dtype == tf.string else tf.zeros(part.shape, part.dtype)
        )

    return tf.data.Dataset.from_tensors(tf.nest.map_structure(blank, spec)).repeat()
