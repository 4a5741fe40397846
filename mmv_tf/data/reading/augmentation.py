# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random changes to clips and sounds in training, the same for all frames of a clip."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

# PAPER section 3: the short side is resized to 224 and 200 x 200 is cropped.
CROP_SHARE = 200 / 224
# PAPER section 3.
_JITTER_CHANCE = 0.8
_COLOUR_CHANCE = 0.8
_BRIGHTNESS = 32 / 255
_SATURATION = 0.4
_CONTRAST = 0.4
_HUE = 0.2

# ITU-R BT.601: how bright red, green and blue look, and the two axes of colour (YIQ).
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ).astype(np.float32)
# Every so many rows and columns are looked at for a clip's mean colour; ours.
MEAN_STEP = 8
# See `colour_change`.
NO_COLOUR_CHANGE = np.eye(3, 5, dtype=np.float32) + np.eye(1, 5, 4, dtype=np.float32)


def crop_window(
    height: tf.Tensor,
    width: tf.Tensor,
    seed: tf.Tensor | None,
    jitter: float,
    square: bool = True,
) -> tf.Tensor:
    """The window of the stored frame that is decoded and resized to the network's size.

    Training (PAPER section 3): with probability 0.8 the frame's height and width are scaled by
    independent factors from U(1 - jitter, 1 + jitter), jitter 0.2 in the paper; then the short side
    is resized to 224 and 200 x 200 are cropped at a random place. As the resizing undoes what the
    factors have in common, they change a window's shape more than its size. Here the same is said
    of the stored frame's pixels, to the nearest one, so that nothing outside the window is decoded
    or resized. Evaluation: the middle, and no jitter.

    Args:
      height, width: int scalars, of the stored frame.
      seed: int [2], or None for evaluation.
      jitter: see above.
      square: crop a square, as the paper does. Otherwise `CROP_SHARE` of the height and of the
        width is cropped, over the factors, so that a wide frame is seen whole, if squeezed.

    Returns:
      int32 [top, left, height, width].
    """
    limits = tf.cast(tf.stack([height, width]), tf.float32)
    factors = tf.ones([2])
    place = tf.constant([0.5, 0.5])
    if seed is not None:
        draws = tf.random.stateless_uniform([5], seed)
        jittered = 1.0 + jitter * (2.0 * draws[:2] - 1.0)
        factors = tf.where(draws[2] < _JITTER_CHANCE, jittered, 1.0)
        place = draws[3:]
    sides = tf.repeat(tf.reduce_min(limits * factors), 2) if square else limits
    size = tf.minimum(tf.round(CROP_SHARE * sides / factors), limits)
    size = tf.maximum(size, 1.0)
    corner = tf.floor(place * (limits - size + 1.0 - 1e-3))
    return tf.cast(tf.concat([corner, size], axis=0), tf.int32)


def flip(frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirrors a clip [T, H, W, 3] left to right, or not, with equal chance."""

    def reverse() -> tf.Tensor:
        # TensorFlow has a kernel for [rows, columns, 3] that is four times as fast.
        rows = tf.reshape(frames, [-1, tf.shape(frames)[2], 3])
        return tf.reshape(tf.reverse(rows, axis=[1]), tf.shape(frames))

    return tf.ensure_shape(tf.cond(is_mirrored(seed), reverse, lambda: frames), frames.shape)


def is_mirrored(seed: tf.Tensor) -> tf.Tensor:
    """Whether `flip` mirrors with this seed, int [2]: a boolean scalar."""
    return tf.random.stateless_uniform([], seed) < 0.5


def jitter_colour(
    frames: tf.Tensor, seed: tf.Tensor, strength: float = 1.0, scale: float = 1.0
) -> tf.Tensor:
    """Changes brightness, saturation, contrast and hue of a clip with probability 0.8.

    Ranges at strength 1 (PAPER section 3): brightness 32/255, saturation and contrast 0.6-1.4, hue
    0.2 of a turn; the result is clipped to [0, 1].

    All four are one affine map of a pixel, so one pass over the clip does them: saturation mixes
    with the pixel's luma, contrast with the clip's mean colour (of every eighth row and column),
    hue turns the colour axes of YIQ. TensorFlow's own functions go through HSV and take five passes
    and several times as long; what they do is alike and not the same.

    Args:
      frames: float [T, H, W, 3] in [0, scale].
      seed: int [2].
      strength: scales all ranges.
      scale: what stands for 1; the frames are divided by it on the way.
    """
    change_seed, chosen = _colour_draws(seed)

    def changed() -> tf.Tensor:
        mean = tf.reduce_mean(frames[:, ::MEAN_STEP, ::MEAN_STEP], axis=[0, 1, 2]) / scale
        matrix, offset = colour_map(change_seed, mean, strength)
        kernel = tf.transpose(matrix)[tf.newaxis, tf.newaxis] / scale
        mapped = tf.nn.bias_add(tf.nn.conv2d(frames, kernel, 1, "VALID"), offset)
        return tf.raw_ops.ClipByValue(t=mapped, clip_value_min=0.0, clip_value_max=1.0)

    return tf.cond(chosen, changed, lambda: frames / scale)


def colour_change(seed: tf.Tensor, strength: float = 1.0) -> tf.Tensor:
    """What `jitter_colour` draws with this seed, for who changes the pixels elsewhere.

    Args:
      seed, strength: see `jitter_colour`.

    Returns:
      float [3, 5]: columns 0 to 2 are `turn`, column 3 is `brightness` and column 4 `contrast` (the
      same in all rows). A pixel p of a clip with mean colour m becomes
      contrast * turn @ p + turn @ (brightness + (1 - contrast) * m), clipped to [0, 1]. Where
      nothing shall change it is the identity, 0 and 1.
    """
    change_seed, chosen = _colour_draws(seed)
    turn, brightness, contrast = _drawn_colour(change_seed, strength)
    drawn = tf.concat([turn, tf.fill([3, 1], brightness), tf.fill([3, 1], contrast)], axis=1)
    return tf.where(chosen, drawn, tf.constant(NO_COLOUR_CHANGE))


def _colour_draws(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The seed of a change of colours, and whether there is one."""
    seeds = tf.random.split(seed, 2)
    return seeds[0], tf.random.stateless_uniform([], seeds[1]) < _COLOUR_CHANCE


def colour_map(seed: tf.Tensor, mean: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """A random change of colours: pixel -> matrix @ pixel + offset.

    Args:
      seed: int [2].
      mean: float [3], the clip's mean colour in [0, 1], which contrast leaves as it is.
      strength: see `jitter_colour`.

    Returns:
      Matrix [3, 3] and offset [3]: first brightness, then saturation, contrast, hue.
    """
    colour, brightness, contrast = _drawn_colour(seed, strength)
    offset = tf.linalg.matvec(colour, brightness + (1.0 - contrast) * mean)
    return contrast * colour, offset


def _drawn_colour(seed: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Saturation and hue as one matrix [3, 3]; brightness; contrast."""
    draws = strength * (2.0 * tf.random.stateless_uniform([4], seed) - 1.0)
    brightness = _BRIGHTNESS * draws[0]
    saturation, contrast = 1.0 + _SATURATION * draws[1], 1.0 + _CONTRAST * draws[2]
    turn = 2.0 * math.pi * _HUE * draws[3]
    luma = tf.tile(tf.constant(_TO_YIQ[:1]), [3, 1])
    saturate = saturation * tf.eye(3) + (1.0 - saturation) * luma
    cos, sin = tf.cos(turn), tf.sin(turn)
    turned = tf.reshape(tf.stack([1.0, 0.0, 0.0, 0.0, cos, -sin, 0.0, sin, cos]), [3, 3])
    colour = tf.constant(_FROM_YIQ) @ turned @ tf.constant(_TO_YIQ) @ saturate
    return colour, brightness, contrast


def mask_log_mel(log_mel: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    """Covers a random band of frequencies and a random stretch of time with the spectrogram's mean.

    As in SpecAugment (Park et al., arXiv 1904.08779); MMV does not say that it does so. The two
    widths are uniform from nothing to `share` of the bins and of the frames. Not tensorflow-io's
    `freq_mask` and `time_mask`, which take no seed.

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


def drop_words(ids: tf.Tensor, seed: tf.Tensor, share: float, padding_id: int = 0) -> tf.Tensor:
    """Replaces words by padding, each with probability `share`, but never all of a sentence's.

    Ours. It keeps a small text tower from leaning on one word of each sentence.

    Args:
      ids: int32 [..., words].
      seed: int [2].
      share: in [0, 1).
      padding_id: of padding.
    """
    kept = (tf.random.stateless_uniform(tf.shape(ids), seed) >= share) & (ids != padding_id)
    emptied = ~tf.reduce_any(kept, axis=-1, keepdims=True)
    return tf.where(kept | emptied, ids, padding_id)
