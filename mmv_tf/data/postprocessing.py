# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is best done for a whole batch: waveforms to log-mel, its masks, words to ids, pixels."""

from __future__ import annotations

import ml_collections
import tensorflow as tf

from mmv_tf.data import augmentation, pixel_plans
from mmv_tf.data.interfaces import Example, LogMel, Tokenizer


class Postprocessing:
    """The last phase of reading; call it with a batch.

    Args:
      config: see `default_config`.
      tokenizer, log_mel: see `Reader`.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        tokenizer: Tokenizer | None,
        log_mel: LogMel | None,
    ):
        self.config = config
        self.tokenizer = tokenizer
        self._padding_id = getattr(tokenizer, "padding_id", 0)
        self.log_mel = log_mel

    def __call__(self, batch: Example) -> Example:
        """A batch of examples to what networks take.

        Args:
          batch: of examples as `Examples` makes them; leading dimensions [B] or
            [B, windows].
        """
        batch = dict(batch)
        seeds = batch.pop("seed", None)
        if pixel_plans.Plan.FRAMES in batch:
            batch = pixel_plans.make_video(batch, self.config.size)
        if "waveform" in batch:
            assert self.log_mel is not None
            waveform = batch.pop("waveform")
            leading = tf.shape(waveform)[:-1]
            flat = self.log_mel(tf.reshape(waveform, [-1, waveform.shape[-1]]))
            audio = tf.reshape(flat, tf.concat([leading, tf.shape(flat)[1:]], axis=0))
            batch["audio"] = tf.ensure_shape(audio, [*waveform.shape[:-1], *flat.shape[1:]])
        if "audio" in batch and seeds is not None:
            batch["audio"] = self._augment_sounds(batch["audio"], seeds[:, 0])
        if "candidates" in batch:
            candidates = batch.pop("candidates")
            batch["caption"] = candidates[..., 0]
            if self.tokenizer is not None:
                batch["text"] = self.tokenizer(candidates)
                # A narration of nothing but unknown or stop words says nothing.
                batch["valid/text"] &= tf.reduce_any(batch["text"] != self._padding_id, axis=-1)
                if seeds is not None:
                    batch["text"] = self._augment_words(batch["text"], seeds[:, 1])
        return batch

    def _augment_sounds(self, log_mels: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        """Each spectrogram of [B, ...] by its own seed of [B, 2]."""
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
        """Each example's candidates of [B, P, words] by its own seed of [B, 2]."""
        share = self.config.word_dropout
        if not share > 0:
            return ids
        spec = tf.TensorSpec(ids.shape[1:], tf.int32)
        return tf.map_fn(
            lambda pair: augmentation.drop_words(pair[0], pair[1], share, self._padding_id),
            (ids, seeds),
            fn_output_signature=spec,
        )
