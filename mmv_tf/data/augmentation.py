# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""How training changes what is seen: crops, flips, colours; the same for all frames of a clip."""

from __future__ import annotations

import tensorflow as tf

# PAPER section 3: the short side is resized to 224 and 200 x 200 is cropped.
CROP_SHARE = 200 / 224


def crop_window(
    height: tf.Tensor,
    width: tf.Tensor,
    seed: tf.Tensor | None,
    jitter: float,
    square: bool = True,
) -> tf.Tensor:
    """The window of the stored frame that is decoded and resized to the network's size.

    Training (PAPER section 3): with probability 0.8 the frame's height and width are scaled by
    independent factors from U(1 - jitter, 1 + jitter), jitter 0.2 in the paper; then `CROP_SHARE`
    of its short side is cropped at a random place. Here the same is said of the stored frame's
    pixels, so that nothing outside the window is decoded or resized. Evaluation: the middle.

    Args:
      height, width: int scalars, of the stored frame.
      seed: int [2], or None for evaluation.
      jitter: see above.
      square: crop a square, as the paper does. Otherwise `CROP_SHARE` of the height and of the
        width is cropped, so that a wide frame is seen whole, if squeezed, once it is resized.

    Returns:
      int32 [top, left, height, width].
    """
    limits = tf.cast(tf.stack([height, width]), tf.float32)
    size = CROP_SHARE * (tf.repeat(tf.reduce_min(limits), 2) if square else limits)
    if seed is None:
        place = tf.constant([0.5, 0.5])
    else:
        draws = tf.random.stateless_uniform([5], seed)
        factors = 1.0 + jitter * (2.0 * draws[:2] - 1.0)
        factors = tf.where(draws[2] < 0.8, factors, 1.0)
        size /= factors
        place = draws[3:]
    size = tf.minimum(tf.round(size), limits)
    corner = tf.floor(place * (limits - size + 1.0 - 1e-3))
    return tf.cast(tf.concat([corner, size], axis=0), tf.int32)


def flip(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors a clip [T, H, W, 3] left to right, or not, with equal chance."""
    mirrored = tf.random.stateless_uniform([], seed) < 0.5
    return tf.cond(mirrored, lambda: tf.reverse(frames, axis=[2]), lambda: frames)


def jitter_colour(frames: tf.Tensor, seed: tf.Tensor, strength: float = 1.0) -> tf.Tensor:
    """Changes brightness, saturation, contrast and hue of a clip with probability 0.8.

    Ranges at strength 1 (PAPER section 3): brightness 32/255, saturation and contrast 0.6-1.4, hue
    0.2; the result is clipped to [0, 1].

    Args:
      frames: float [T, H, W, 3] in [0, 1].
      seed: int [2].
      strength: scales all ranges.
    """
    seeds = tf.random.split(seed, 5)

    def changed() -> tf.Tensor:
        x = tf.image.stateless_random_brightness(frames, strength * 32 / 255, seeds[0])
        x = tf.image.stateless_random_saturation(
            x, 1 - 0.4 * strength, 1 + 0.4 * strength, seeds[1]
        )
        x = tf.image.stateless_random_contrast(x, 1 - 0.4 * strength, 1 + 0.4 * strength, seeds[2])
        return tf.image.stateless_random_hue(x, 0.2 * strength, seeds[3])

    chosen = tf.random.stateless_uniform([], seeds[4]) < 0.8
    return tf.clip_by_value(tf.cond(chosen, changed, lambda: frames), 0.0, 1.0)


def mask_log_mel(log_mel: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    """Covers a random band of frequencies and a random stretch of time with the spectrogram's mean.

    As in SpecAugment (Park et al., arXiv 1904.08779); MMV does not say that it does so. The two
    widths are uniform from nothing to `share` of the bins and of the frames.

    Args:
      log_mel: float [frames, mel_bins, 1].
      seed: int [2].
      share: in [0, 1).
    """
    draws = tf.random.stateless_uniform([2, 2], seed)
    covered = tf.zeros(tf.shape(log_mel), tf.bool)
    for axis in (0, 1):
        size = tf.cast(tf.shape(log_mel)[axis], tf.float32)
        width = draws[axis, 0] * share * size
        start = draws[axis, 1] * (size - width)
        place = tf.range(size)
        band = (place >= start) & (place < start + width)
        covered |= tf.reshape(band, [-1, 1, 1] if axis == 0 else [1, -1, 1])
    return tf.where(covered, tf.reduce_mean(log_mel), log_mel)


def jitter_log_mel(log_mel: tf.Tensor, seed: tf.Tensor, gain: float, noise: float) -> tf.Tensor:
    """Makes a sound louder or softer, and noisy; MMV does not say that it does so.

    VATT, which follows MMV, adds noise to the waveform (PAPER section 1); here it is added where
    the network listens, at the same strength in every band.

    Args:
      log_mel: float [frames, mel_bins, 1], logarithms.
      seed: int [2].
      gain: one number from U(-gain, gain) is added to the whole spectrogram.
      noise: standard deviation of what is added to each of its values.
    """
    gain_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    louder = tf.random.stateless_uniform([], gain_seed, -gain, gain)
    return log_mel + louder + noise * tf.random.stateless_normal(tf.shape(log_mel), noise_seed)


def drop_words(ids: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    """Replaces words by padding, each with probability `share`, but never all of a sentence's.

    Ours. It keeps a small text tower from leaning on one word of each sentence.

    Args:
      ids: int32 [..., words], 0 is padding.
      seed: int [2].
      share: in [0, 1).
    """
    kept = (tf.random.stateless_uniform(tf.shape(ids), seed) >= share) & (ids != 0)
    emptied = ~tf.reduce_any(kept, axis=-1, keepdims=True)
    return tf.where(kept | emptied, ids, tf.zeros_like(ids))
