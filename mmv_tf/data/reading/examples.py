# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Converts a record to an example: parse, sample, decode, preprocess."""

from __future__ import annotations

import math
from typing import Any, cast

import ml_collections
import tensorflow as tf

from mmv_tf.data.reading import audio, augmentation, parsing, sampling, settings, stored_video
from mmv_tf.data.reading import pixels as pixels_lib
from mmv_tf.data.reading.pixels import Plan
from mmv_tf.data.reading.records import Records
from mmv_tf.data.reading.settings import LOOP, OPENCV, PIXELS, SHORT_CLIPS, Example, LogMel
from mmv_tf.data.records import keys as keys_lib

Seeds = list[tf.Tensor | None]


class Examples:
    """Converts records to examples.

    Args:
      config: settings; see `default_config`.
      records: the records' source.
      log_mel: layer that computes spectrograms; see `Reader`.

    Raises:
      ValueError: the records' rates or log-mel settings differ from the requested ones, or
        `config.pixels` or `config.short_clips` has an unknown value.
    """

    def __init__(self, config: ml_collections.ConfigDict, records: Records, log_mel: LogMel | None):
        self.config = config
        self.records = records
        self.log_mel = log_mel
        manifest = records.manifest
        self._rate = manifest["frame_rate"]
        self._stride = settings.stride(self._rate, config.frame_rate)
        # Settings of the log-mel in the records; None if they hold waveforms.
        self._stored_log_mel: dict[str, Any] | None = manifest.get("log_mel") or None
        self._check_rates()
        if config.pixels not in PIXELS:
            raise ValueError(
                f"data.pixels is {config.pixels!r}; expected one of {', '.join(PIXELS)}."
            )
        if config.pixels == OPENCV:
            pixels_lib.check_installed()
        if config.short_clips not in SHORT_CLIPS:
            raise ValueError(
                f"data.short_clips is {config.short_clips!r}; expected one of "
                f"{', '.join(SHORT_CLIPS)}."
            )

    def training(
        self, shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor, epoch_key: tf.Tensor
    ) -> Example:
        """Return one random, augmented window of a record, with a "seed" for postprocessing.

        Args:
          shard, number: the shard's name, and the record's index among its good ones.
          record: serialized record.
          epoch_key: key derived from the seed and the epoch, int32 [2].
        """
        parsed = self.parse(shard, number, record)
        identity = tf.strings.to_hash_bucket_fast(parsed["example_id"], 2**31 - 1)
        seeds = tf.unstack(tf.random.split(tf.random.fold_in(epoch_key, identity), 6))
        example = self._windows(parsed, shard, 1, seeds)
        # Audio and text are augmented in batches.
        example["seed"] = tf.stack(seeds[4:])[tf.newaxis]
        return {name: value[0] for name, value in example.items()}

    def evaluation(self, shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor) -> Example:
        """Return `config.windows` evenly spaced windows of a record, with central crops."""
        parsed = self.parse(shard, number, record)
        return self._windows(parsed, shard, self.config.windows, [None] * 6)

    def parse(self, shard: tf.Tensor, number: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        """Parse a record; check it if its shard was not inspected."""
        records = self.records
        fallback = tf.strings.join([shard, tf.strings.as_string(number)], separator=":")
        parsed = parsing.parse_record(
            record, fallback, records.keys, records.manifest["labels"], records.is_video
        )
        if not records.inspected:
            parsing.check_parsed(parsed, shard, records.limits, records.all_have_frames)
        return parsed

    def _windows(
        self, parsed: dict[str, tf.Tensor], shard: tf.Tensor, windows: int, seeds: Seeds
    ) -> Example:
        """Return windows of all modalities at the same times; seeds are None in evaluation."""
        config, training = self.config, seeds[0] is not None
        shown = tf.shape(parsed["frames"])[0]
        stored = self._moments(parsed)
        span = int((config.num_frames - 1) * self._stride + 0.5) + 1
        # Video, audio and narrations share one time offset.
        starts = sampling.window_starts(stored, span, windows, seeds[0])
        start_seconds = tf.cast(starts, tf.float32) / self._rate
        lasts = tf.cast(stored, tf.float32) / self._rate
        parsed["duration"] = tf.where(parsed["duration"] > 0, parsed["duration"], lasts)
        loop = config.short_clips == LOOP
        indices = sampling.frame_indices(starts, config.num_frames, self._stride, stored, loop)
        indices = tf.reshape(indices, [windows * config.num_frames])

        def decoded() -> Example:
            if self.records.is_video:
                return self._stored_video(parsed, indices, shard, windows, self._frame_seeds(seeds))
            encoded = tf.gather(parsed["frames"], indices)
            if not self.records.inspected:
                parsing.check_frames(encoded, parsed["example_id"], shard, self.records.limits)
            if config.pixels == OPENCV:
                own = self._frame_seeds(seeds)
                shape = tf.io.extract_jpeg_shape(encoded[0])
                frames = {Plan.FRAMES: tf.reshape(encoded, [windows, config.num_frames])}
                crop = self._crop(shape, own[0])
                return frames | self._plan(shape[:2], crop, shard, windows, own)
            return {"video": self._video(encoded, windows, self._frame_seeds(seeds))}

        def nothing() -> Example:
            if config.pixels == OPENCV:
                return pixels_lib.no_plan(windows, config.num_frames, self.records.is_video)
            return {"video": tf.zeros([windows, config.num_frames, config.size, config.size, 3])}

        end = parsed["clip_start"] + parsed["duration"]
        seen = decoded() if self.records.all_have_frames else tf.cond(shown > 0, decoded, nothing)
        example = seen | {
            "valid/video": tf.fill([windows], shown > 0),
            "example_id": tf.fill([windows], parsed["example_id"]),
            "media_id": tf.fill([windows], parsed["media_id"]),
            "label": tf.fill([windows], parsed["label"]),
            "clip_start": tf.fill([windows], parsed["clip_start"]),
            "clip_end": tf.fill([windows], end),
        }
        if self.log_mel is not None:
            if self.records.is_video and self._stored_log_mel is None:
                parsed["waveform"] = self._stored_waveform(parsed, start_seconds, shard)
            if loop:
                # Only if the frames loop: a window's audio may extend slightly past a longer clip.
                parsed = tf.cond(
                    stored < span, lambda: self._looped(parsed, lasts), lambda: dict(parsed)
                )
            example |= self._audio(parsed, start_seconds, shard)
        return example | self._candidates(parsed, start_seconds, training)

    def _moments(self, parsed: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the number of frames; for audio alone, the number its duration would give."""
        shown = tf.shape(parsed["frames"])[0]
        if self.records.all_have_frames:
            return shown
        moments = tf.cast(tf.round(parsed["duration"] * self._rate), tf.int32)
        return tf.where(shown > 0, shown, tf.maximum(moments, 1))

    def _frame_seeds(self, seeds: Seeds) -> Seeds:
        """Return the seeds of the crop, the flip and the colors; None disables a change."""
        crop_seed, flip_seed, color_seed = seeds[1:4]
        return [
            crop_seed,
            flip_seed if self.config.flip else None,
            color_seed if self.config.colour > 0 else None,
        ]

    def _video(self, encoded: tf.Tensor, windows: int, seeds: Seeds) -> tf.Tensor:
        """Decode JPEGs [windows * T] to frames [windows, T, size, size, 3]."""
        config = self.config
        crop_seed, flip_seed, color_seed = seeds
        crop = self._crop(tf.io.extract_jpeg_shape(encoded[0]), crop_seed)
        pixels = pixels_lib.decode_window(encoded, crop)
        if flip_seed is not None:
            pixels = augmentation.flip(pixels, flip_seed)
        # From bytes to floats in [0, 255], with bilinear interpolation.
        video = tf.image.resize(pixels, [config.size, config.size])
        return self._colored(video, windows, color_seed)

    def _stored_video(
        self,
        parsed: dict[str, tf.Tensor],
        indices: tf.Tensor,
        shard: tf.Tensor,
        windows: int,
        seeds: Seeds,
    ) -> Example:
        """Return the result of `_video` or `_plan` for frames [windows * T] of a stored video."""
        config = self.config
        crop_seed, flip_seed, color_seed = seeds
        crop = self._crop(parsed["shape"], crop_seed)
        if config.pixels == OPENCV:
            frames = {
                Plan.FRAMES: tf.fill([windows], parsed["media"]),
                Plan.INDICES: tf.reshape(indices, [windows, config.num_frames]),
            }
            return frames | self._plan(parsed["shape"], crop, shard, windows, seeds)
        mirrored = augmentation.is_mirrored(flip_seed) if flip_seed is not None else False
        video = stored_video.resized_window(
            parsed["media"],
            indices,
            parsed["shape"],
            crop,
            tf.convert_to_tensor(mirrored),
            _name(parsed, shard),
            config.size,
            self.records.limits,
        )
        return {"video": self._colored(video, windows, color_seed)}

    def _colored(self, video: tf.Tensor, windows: int, color_seed: tf.Tensor | None) -> tf.Tensor:
        """Change the colors of frames [windows * T, size, size, 3] in [0, 255]; return [0, 1]."""
        config = self.config
        if color_seed is not None:
            video = augmentation.jitter_color(video, color_seed, config.colour, scale=255.0)
        else:
            video /= 255.0
        return tf.reshape(video, [windows, config.num_frames, config.size, config.size, 3])

    def _plan(
        self, shape: tf.Tensor, crop: tf.Tensor, shard: tf.Tensor, windows: int, seeds: Seeds
    ) -> Example:
        """Draw like `_video`; return the `Plan` instead of frames, to decode a batch later."""
        config = self.config
        _, flip_seed, color_seed = seeds
        mirrored, color = tf.constant(False), tf.constant(augmentation.NO_COLOR_CHANGE)
        if flip_seed is not None:
            mirrored = augmentation.is_mirrored(flip_seed)
        if color_seed is not None:
            color = augmentation.color_change(color_seed, config.colour)
        return {
            Plan.SHAPE: tf.tile(shape[tf.newaxis], [windows, 1]),
            Plan.CROP: tf.tile(crop[tf.newaxis], [windows, 1]),
            Plan.MIRRORED: tf.fill([windows], mirrored),
            Plan.COLOR: tf.tile(color[tf.newaxis], [windows, 1, 1]),
            Plan.SHARD: tf.fill([windows], shard),
        }

    def _crop(self, shape: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """Return the crop window for frames of a shape, int32 [height, width, ...]."""
        config = self.config
        return augmentation.crop_window(
            shape[0], shape[1], seed, config.scale_jitter, config.square_crop
        )

    def _stored_waveform(
        self, parsed: dict[str, tf.Tensor], start_seconds: tf.Tensor, shard: tf.Tensor
    ) -> tf.Tensor:
        """Return the audio of a clip stored as video, at least where windows need it."""
        config, log_mel = self.config, cast(LogMel, self.log_mel)
        rate = round(self.records.manifest["sample_rate"])
        seconds = tf.cast(parsed["microseconds"], tf.float64) / keys_lib.MICROSECONDS
        count = tf.cast(tf.round(seconds * rate), tf.int64)
        start, end = tf.zeros([], tf.int64), count
        if rate == log_mel.sample_rate:
            # A tenth of a second more, to allow for rounding.
            length = config.num_frames / config.frame_rate
            start = tf.cast((tf.reduce_min(start_seconds) - 0.1) * rate, tf.int64)
            end = tf.cast((tf.reduce_max(start_seconds) + length + 0.1) * rate, tf.int64)
        return stored_video.window_waveform(
            parsed["media"], count, start, end, _name(parsed, shard), rate, self.records.limits
        )

    def _looped(self, parsed: dict[str, tf.Tensor], seconds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Loop the audio of a clip that is shorter than its window, together with the frames."""
        config, log_mel = self.config, cast(LogMel, self.log_mel)
        # A tenth more than a window, for the margins of resampling.
        shown = 1.1 * config.num_frames / config.frame_rate + 0.1
        if self._stored_log_mel is not None:
            key, rate = "log_mel", log_mel.sample_rate / log_mel.step
        else:
            key, rate = "waveform", float(round(self.records.manifest["sample_rate"]))
        period = tf.maximum(tf.cast(tf.round(seconds * rate), tf.int32), 1)
        return parsed | {key: audio.loop(parsed[key], period, math.ceil(shown * rate))}

    def _audio(
        self, parsed: dict[str, tf.Tensor], start_seconds: tf.Tensor, shard: tf.Tensor
    ) -> Example:
        """Return the waveforms of windows, or their log-mels if those are stored."""
        config, log_mel = self.config, cast(LogMel, self.log_mel)
        seconds = config.num_frames / config.frame_rate
        windows = tf.shape(start_seconds)[0]
        if self._stored_log_mel is not None:
            hop = log_mel.step / log_mel.sample_rate
            length = -(-round(seconds * log_mel.sample_rate) // log_mel.step)
            values = tf.reshape(parsed["log_mel"], [-1, log_mel.mel_bins, 1])
            first = tf.cast(tf.round(start_seconds / hop), tf.int32)
            heard = tf.shape(values)[0] > 0
            return {
                "audio": audio.cut(values, first, length),
                "valid/audio": tf.repeat(heard, windows),
            }
        waveform = audio.cut_waveform(
            parsed["waveform"],
            start_seconds,
            seconds,
            round(self.records.manifest["sample_rate"]),
            log_mel.sample_rate,
        )
        if not self.records.inspected:
            sane = tf.reduce_all(tf.abs(waveform) < 16.0)  # False for NaN as well.
            parsing.require(sane, parsed["example_id"], shard, "audio not finite or out of range")
        heard = tf.shape(parsed["waveform"])[0] > 0
        return {"waveform": waveform, "valid/audio": tf.repeat(heard, windows)}

    def _candidates(
        self, parsed: dict[str, tf.Tensor], start_seconds: tf.Tensor, training: bool
    ) -> Example:
        """Return the narrations nearest to the windows; in evaluation, the clip's own.

        Evaluation takes the clip's own narration nearest to the middle of the clip, or the nearest
        of all narrations if the clip has none of its own.
        """
        config = self.config
        windows = tf.shape(start_seconds)[0]
        if training:
            middles = start_seconds + config.num_frames / config.frame_rate / 2
            count = config.candidates
        else:
            # One narration per clip, the same for all windows.
            middles, count = tf.fill([windows], parsed["duration"] / 2), 1
        indices, found = sampling.nearest_candidates(
            middles,
            parsed["caption_start"],
            parsed["caption_end"],
            count,
            None if training else parsed["caption_own"],
        )
        # An empty narration at the end stands for "none".
        captions = tf.concat([parsed["caption"], [""]], axis=0)
        chosen = tf.gather(captions, tf.where(found, indices, tf.shape(captions)[0] - 1))
        return {
            "candidates": tf.ensure_shape(chosen, [None, count]),
            "valid/text": tf.ensure_shape(found, [None, count]),
        }

    def _check_rates(self) -> None:
        config = self.config
        if not config.resample:
            settings.check_frame_rate(self._rate, config.frame_rate)
        if self.log_mel is None:
            return
        if self._stored_log_mel is not None:
            settings.check_log_mel(self._stored_log_mel, self.log_mel, self.records.directory)
        elif not config.resample:
            settings.check_sample_rate(
                self.records.manifest["sample_rate"], self.log_mel.sample_rate
            )


def _name(parsed: dict[str, tf.Tensor], shard: tf.Tensor) -> tf.Tensor:
    """Return a record's name, for messages."""
    return tf.strings.join([shard, ", example ", parsed["example_id"]])
