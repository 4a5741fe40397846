# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records to batches: parse -> sample -> decode -> preprocess -> batch.

What an example shows is drawn from (seed, epoch, example id) alone, and the order from (seed,
epoch), so that a run can be taken up again at any example.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections
import tensorflow as tf

from mmv_tf.data import augmentation, record_keys, sampling
from mmv_tf.data.writer import check_shards, read_manifest

_MICROSECONDS = 1e6
# Records are read in large pieces; ours, far above a record and far below memory.
_READ_BUFFER_BYTES = 4 << 20
# Shards whose records are mixed; ours.
_FILES_AT_ONCE = 8
# Second halves of the random keys, so that order and augmentation draw apart.
_ORDER_KEY, _EXAMPLE_KEY = 1, 2


def _read(files: tf.Tensor | list[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(files, buffer_size=_READ_BUFFER_BYTES)


def _decoded(records: tf.data.Dataset, example: Callable[..., Any]) -> tf.data.Dataset:
    """Applies `example` to all records, in order, on all cores."""
    options = tf.data.Options()
    # Its thread sleeps for up to a minute at a time, and an iterator's end waits for it.
    options.autotune.enabled = False
    dataset = records.map(example, num_parallel_calls=os.cpu_count() or 1, deterministic=True)
    return dataset.with_options(options)


def default_config() -> ml_collections.ConfigDict:
    """Settings of the reader; the comments say where the defaults come from."""
    return ml_collections.ConfigDict(
        {
            "directory": "",
            "split": "train",
            # PAPER section 3: 32 frames at 10 a second, 200 x 200 pixels, in training.
            "num_frames": 32,
            "frame_rate": 10.0,
            "size": 200,
            # False: wide frames are squeezed instead of cut at the sides.
            "square_crop": True,
            # PAPER section 2: MIL-NCE draws 5 candidate narrations.
            "candidates": 5,
            "batch_size": 8,
            # Evaluation: windows spread evenly over a clip (PAPER section 5: 4).
            "windows": 1,
            # Training only.
            "scale_jitter": 0.2,
            "flip": True,
            "colour": 1.0,
            # The share of a spectrogram's frames and of its bins that may be masked; ours.
            "audio_mask": 0.0,
            # See `augmentation.jitter_log_mel` and `augmentation.drop_words`; ours.
            "audio_gain": 0.0,
            "audio_noise": 0.0,
            "word_dropout": 0.0,
            # Ours: records are shuffled within pieces of this many, and so are the shards.
            "shuffle_buffer": 1024,
        }
    )


# What a network's metadata keep of these settings, so that it is shown later what it learnt from.
METADATA_KEYS = ("num_frames", "frame_rate", "size", "square_crop")


def config_for_network(
    metadata: Mapping[str, Any], directory: str, split: str, **settings: Any
) -> ml_collections.ConfigDict:
    """Settings that read a split as a network was trained to see it.

    Args:
      metadata: of the network.
      directory, split: what to read.
      settings: other entries of `default_config`; they go before the metadata.

    Raises:
      ValueError: if the metadata don't say all that is needed.
    """
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise ValueError(
            f"The network's metadata lack {', '.join(missing)}, so it can't be told how to read "
            "videos for it; set them in model.metadata."
        )
    config = default_config()
    config.update({key: metadata[key] for key in METADATA_KEYS})
    config.update({"directory": directory, "split": split, **settings})
    return config.lock()


class LogMel(Protocol):
    """What the reader asks of `mmv_tf.layers.LogMel`; data does not depend on layers."""

    sample_rate: int

    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        """[N, samples] -> [N, frames, mel_bins, 1]."""


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads the shards of a directory that `prepare_data` wrote.

    Attributes:
      config: as `default_config`.
      tokenizer: turns narrations into word ids; without it there is no "text".
      log_mel: turns waveforms into the audio tower's input; without it there is no "audio".

    Examples are dicts: "video" float32 [T, size, size, 3] in [0, 1]; "audio" float32 [frames,
    mel_bins, 1] of the same moment; "text" int32 [P, words], the narrations nearest in time;
    "valid/video", "valid/audio" booleans and "valid/text" [P]; "label" int32 (-1 for none);
    "example_id" string; "clip_start" and "clip_end" in seconds of the source.
    """

    config: ml_collections.ConfigDict
    tokenizer: Callable[[tf.Tensor], tf.Tensor] | None
    log_mel: LogMel | None

    def __post_init__(self) -> None:
        rate, stored = self.config.frame_rate, self.manifest["frame_rate"]
        stride = stored / rate
        if abs(stride - round(stride)) > 1e-6 or round(stride) < 1:
            raise ValueError(
                f"The records have {stored:g} frames a second, {rate:g} are asked for; take "
                f"{stored:g} or a whole part of it (data.frame_rate), or prepare the data again."
            )
        if self.log_mel is not None and self.log_mel.sample_rate != self.manifest["sample_rate"]:
            raise ValueError(
                f"The records' sound has {self.manifest['sample_rate']} samples a second, the "
                f"network takes {self.log_mel.sample_rate}; prepare the data with --sample_rate="
                f"{self.log_mel.sample_rate}."
            )

    @property
    def directory(self) -> pathlib.Path:
        """Where the shards are."""
        return pathlib.Path(self.config.directory)

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """The data's `manifest.json`."""
        return read_manifest(self.directory)

    @property
    def stride(self) -> int:
        """Stored frames from one frame to the next."""
        return round(self.manifest["frame_rate"] / self.config.frame_rate)

    def splits(self) -> list[str]:
        """Splits named by `config.split`, which joins several with "+"."""
        names = self.config.split.split("+")
        have = self.manifest["splits"]
        for name in names:
            if name not in have:
                raise ValueError(f"There is no split {name!r} in {self.directory}: {list(have)}.")
        return names

    def num_examples(self) -> int:
        """Examples in the split."""
        splits = self.manifest["splits"]
        return sum(splits[name]["num_examples"] for name in self.splits())

    def files(self) -> list[str]:
        """Paths of the split's shards."""
        manifest = self.manifest
        check_shards(self.directory, manifest)
        return [
            str(self.directory / shard["file"])
            for name in self.splits()
            for shard in manifest["splits"][name]["shards"]
        ]

    def train(self, seed: int, start: int = 0) -> tf.data.Dataset:
        """Endless shuffled and augmented batches.

        Args:
          seed: of order and augmentation.
          start: number of examples to leave out first, as a run does that goes on; they are read
            but not decoded.

        Returns:
          A dataset of batched examples with static shapes.
        """
        files, count = self.files(), self.num_examples()
        if count == 0:
            raise ValueError(f"Split {self.config.split!r} of {self.directory} has no examples.")
        first_epoch = start // count

        def epoch_records(epoch: tf.Tensor) -> tf.data.Dataset:
            key = tf.random.fold_in(tf.constant([seed, _ORDER_KEY], tf.int32), epoch)
            order = tf.random.experimental.stateless_shuffle(tf.constant(files), seed=key)
            records = tf.data.Dataset.from_tensor_slices(order).interleave(
                _read, cycle_length=_FILES_AT_ONCE
            )

            def shuffled(piece: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
                return tf.random.experimental.stateless_shuffle(
                    serialized, seed=tf.random.fold_in(key, piece)
                )

            # `Dataset.shuffle` takes no seed that depends on the epoch.
            records = records.batch(self.config.shuffle_buffer).enumerate().map(shuffled).unbatch()
            return records.map(lambda record: (epoch, record))

        epochs = tf.data.Dataset.range(first_epoch, tf.int64.max)
        dataset = epochs.flat_map(epoch_records).skip(start - first_epoch * count)
        base = tf.constant([seed, _EXAMPLE_KEY], tf.int32)

        def example(epoch: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
            parsed = self._parse(record)
            identity = tf.strings.to_hash_bucket_fast(parsed["example_id"], 2**31 - 1)
            key = tf.random.fold_in(tf.random.fold_in(base, epoch), identity)
            windows = self._decode(parsed, windows=1, seed=key)
            return {name: value[0] for name, value in windows.items()}

        return _decoded(dataset, example).batch(self.config.batch_size, True).prefetch(2)

    def evaluate(self) -> tf.data.Dataset:
        """Every example once and in order: batches [B, windows, ...], the last one smaller.

        Windows are spread evenly, crops are central and nothing is augmented. "text" is [B, 1,
        words]: the narration nearest the clip's middle, and "caption" is that narration.
        """

        def example(record: tf.Tensor) -> dict[str, tf.Tensor]:
            return self._decode(self._parse(record), windows=self.config.windows, seed=None)

        dataset = _decoded(_read(self.files()), example)
        return dataset.batch(self.config.batch_size).prefetch(2)

    def _parse(self, record: tf.Tensor) -> dict[str, tf.Tensor]:
        context, lists = tf.io.parse_single_sequence_example(
            record,
            context_features={
                record_keys.EXAMPLE_ID: tf.io.FixedLenFeature([], tf.string),
                record_keys.CLIP_START: tf.io.FixedLenFeature([], tf.int64),
                record_keys.CLIP_END: tf.io.FixedLenFeature([], tf.int64),
                record_keys.LABEL_INDEX: tf.io.VarLenFeature(tf.int64),
                record_keys.CAPTION: tf.io.VarLenFeature(tf.string),
                record_keys.CAPTION_START: tf.io.VarLenFeature(tf.int64),
                record_keys.CAPTION_END: tf.io.VarLenFeature(tf.int64),
            },
            sequence_features={
                record_keys.FRAMES: tf.io.FixedLenSequenceFeature([], tf.string),
                record_keys.WAVEFORM: tf.io.VarLenFeature(tf.float32),
            },
        )

        def dense(key: str) -> tf.Tensor:
            return tf.sparse.to_dense(context[key])

        def seconds(value: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.cast(value, tf.float64) / _MICROSECONDS, tf.float32)

        clip_start = context[record_keys.CLIP_START]
        return {
            "example_id": context[record_keys.EXAMPLE_ID],
            "frames": lists[record_keys.FRAMES],
            "waveform": lists[record_keys.WAVEFORM].values,
            "label": dense(record_keys.LABEL_INDEX),
            "caption": dense(record_keys.CAPTION),
            # From the clip's start on, in seconds.
            "caption_start": seconds(dense(record_keys.CAPTION_START) - clip_start),
            "caption_end": seconds(dense(record_keys.CAPTION_END) - clip_start),
            "clip_start": seconds(clip_start),
            "duration": seconds(context[record_keys.CLIP_END] - clip_start),
        }

    def _decode(
        self, parsed: dict[str, tf.Tensor], windows: int, seed: tf.Tensor | None
    ) -> dict[str, tf.Tensor]:
        config = self.config
        stored_rate = self.manifest["frame_rate"]
        span = (config.num_frames - 1) * self.stride + 1
        stored = tf.shape(parsed["frames"])[0]
        time_seed, crop_seed, flip_seed, colour_seed, audio_seed, text_seed = (
            (None,) * 6 if seed is None else tf.unstack(tf.random.split(seed, 6))
        )
        # The one offset in time that video, sound and narrations share.
        starts = sampling.window_starts(stored, span, windows, time_seed)
        seconds = config.num_frames / config.frame_rate
        start_seconds = tf.cast(starts, tf.float32) / stored_rate

        size = tf.io.extract_jpeg_shape(parsed["frames"][0])
        crop = augmentation.crop_window(
            size[0], size[1], crop_seed, config.scale_jitter, config.square_crop
        )

        def clip(start: tf.Tensor) -> tf.Tensor:
            indices = sampling.frame_indices(start, config.num_frames, self.stride, stored)
            frames = tf.map_fn(
                lambda frame: tf.image.decode_and_crop_jpeg(frame, crop, channels=3),
                tf.gather(parsed["frames"], indices),
                fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
            )
            frames = tf.image.resize(frames, [config.size, config.size]) / 255.0
            if seed is not None and config.flip:
                frames = augmentation.flip(frames, flip_seed)
            if seed is not None and config.colour > 0:
                frames = augmentation.jitter_colour(frames, colour_seed, config.colour)
            return tf.ensure_shape(frames, [config.num_frames, config.size, config.size, 3])

        video = tf.map_fn(clip, starts, fn_output_signature=tf.float32)
        example = {
            "video": video,
            "valid/video": tf.ones([windows], tf.bool),
            "example_id": tf.fill([windows], parsed["example_id"]),
            "label": tf.fill(
                [windows],
                tf.cast(tf.concat([parsed["label"], [-1]], axis=0)[0], tf.int32),
            ),
            "clip_start": tf.fill([windows], parsed["clip_start"]),
            "clip_end": tf.fill([windows], parsed["clip_start"] + parsed["duration"]),
        }
        if self.log_mel is not None:
            example |= self._audio(parsed["waveform"], start_seconds, seconds, audio_seed)
        if self.tokenizer is not None:
            if seed is None:
                # One narration for the clip, whichever window is looked at.
                middles, candidates = tf.fill([windows], parsed["duration"] / 2), 1
            else:
                middles, candidates = start_seconds + seconds / 2, config.candidates
            example |= self._text(parsed, middles, candidates, text_seed)
        return example

    def _audio(
        self,
        waveform: tf.Tensor,
        start_seconds: tf.Tensor,
        seconds: float,
        seed: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        assert self.log_mel is not None
        rate = self.log_mel.sample_rate
        length = round(seconds * rate)
        starts = tf.cast(tf.round(start_seconds * rate), tf.int32)
        padded = tf.pad(waveform, [[0, length]])
        samples = tf.map_fn(
            lambda start: padded[start : start + length], starts, fn_output_signature=tf.float32
        )
        samples = tf.ensure_shape(samples, [None, length])
        heard = tf.shape(waveform)[0] > 0
        log_mel = self.log_mel(samples)
        if seed is not None:
            log_mel = tf.map_fn(lambda spectrogram: self._augment_sound(spectrogram, seed), log_mel)
        return {
            "audio": log_mel,
            "valid/audio": tf.repeat(heard, tf.shape(starts)[0]),
        }

    def _augment_sound(self, log_mel: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        config = self.config
        mask_seed, jitter_seed = tf.unstack(tf.random.split(seed, 2))
        if config.audio_mask > 0:
            log_mel = augmentation.mask_log_mel(log_mel, mask_seed, config.audio_mask)
        if config.audio_gain > 0 or config.audio_noise > 0:
            log_mel = augmentation.jitter_log_mel(
                log_mel, jitter_seed, config.audio_gain, config.audio_noise
            )
        return log_mel

    def _text(
        self,
        parsed: dict[str, tf.Tensor],
        middles: tf.Tensor,
        candidates: int,
        seed: tf.Tensor | None,
    ) -> dict[str, tf.Tensor]:
        assert self.tokenizer is not None
        # One empty narration at the end stands for "none".
        captions = tf.concat([parsed["caption"], [""]], axis=0)

        def nearest(middle: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            indices, found = sampling.nearest_candidates(
                middle, parsed["caption_start"], parsed["caption_end"], candidates
            )
            chosen = tf.gather(captions, tf.where(found, indices, tf.shape(captions)[0] - 1))
            return tf.ensure_shape(chosen, [candidates]), tf.ensure_shape(found, [candidates])

        captions_chosen, found = tf.map_fn(
            nearest, middles, fn_output_signature=(tf.string, tf.bool)
        )
        ids = self.tokenizer(captions_chosen)
        # A narration of nothing but unknown or stop words says nothing.
        found &= tf.reduce_any(ids != 0, axis=-1)
        if seed is not None and self.config.word_dropout > 0:
            ids = augmentation.drop_words(ids, seed, self.config.word_dropout)
        return {"text": ids, "valid/text": found, "caption": captions_chosen[:, 0]}
