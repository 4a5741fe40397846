# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Random augmentation of video, audio and text for training, the same for all frames of a clip."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

# MMV (Alayrac et al., 2020) crops 200 x 200; a short side of 224 is the default of DMVR
# (google-deepmind/dmvr).
CROP_SHARE = 200 / 224
# Probabilities from DMVR; color ranges from VATT (Akbari et al., 2021), which follows MMV.
_JITTER_CHANCE = 0.8
_COLOR_CHANCE = 0.8
_BRIGHTNESS = 32 / 255
_SATURATION = 0.4
_CONTRAST = 0.4
_HUE = 0.2

# ITU-R BT.601: the luma of red, green and blue, and the two color axes (YIQ).
_TO_YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32
)
_FROM_YIQ = np.linalg.inv(_TO_YIQ).astype(np.float32)
# Ours: step between the rows and columns from which a clip's mean color is computed.
MEAN_STEP = 8
# See `color_change`.
NO_COLOR_CHANGE = np.eye(3, 5, dtype=np.float32) + np.eye(1, 5, 4, dtype=np.float32)


def crop_window(
    height: tf.Tensor,
    width: tf.Tensor,
    seed: tf.Tensor | None,
    jitter: float,
    square: bool = True,
) -> tf.Tensor:
    """Return the window in a stored frame to decode and resize to the model's size.

    Training follows DMVR: with probability 0.8, height and width are scaled by independent factors
    from U(1 - jitter, 1 + jitter), with jitter 0.2 by default; then the short side is resized to
    224 and 200 x 200 pixels are cropped at a random place. Resizing cancels the common part of the
    two factors, so they change a window's shape more than its size. This function computes the
    equivalent window of the stored frame, to the nearest pixel, so that nothing outside it is
    decoded or resized. Evaluation uses a central window without jitter.

    Args:
      height, width: int scalars, the stored frame's size.
      seed: int [2], or None for evaluation.
      jitter: see above.
      square: whether to crop a square, as MMV does. Otherwise crop `CROP_SHARE` of the height and
        of the width, divided by the factors, which shows all of a wide frame, but distorted.

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
    """Mirror a clip [T, H, W, 3] left to right with probability 0.5."""

    def reverse() -> tf.Tensor:
        # TensorFlow's kernel for [rows, columns, 3] is four times as fast.
        rows = tf.reshape(frames, [-1, tf.shape(frames)[2], 3])
        return tf.reshape(tf.reverse(rows, axis=[1]), tf.shape(frames))

    return tf.ensure_shape(tf.cond(is_mirrored(seed), reverse, lambda: frames), frames.shape)


def is_mirrored(seed: tf.Tensor) -> tf.Tensor:
    """Return whether `flip` mirrors with this seed, int [2], as a boolean scalar."""
    return tf.random.stateless_uniform([], seed) < 0.5


def jitter_color(
    frames: tf.Tensor, seed: tf.Tensor, strength: float = 1.0, scale: float = 1.0
) -> tf.Tensor:
    """Change a clip's brightness, saturation, contrast and hue with probability 0.8.

    The ranges at strength 1 (VATT, Akbari et al., 2021, which follows MMV) are: brightness 32/255,
    saturation and contrast 0.6-1.4, hue 0.2 of a turn. The result is clipped to [0, 1].

    Together, all four are one affine map of a pixel, so one pass over the clip suffices: saturation
    mixes with the pixel's luma, contrast with the clip's mean color (of every eighth row and
    column), and hue rotates the color axes of YIQ. TensorFlow's own functions convert to HSV and
    take five passes and several times as long, with similar but different results.

    Args:
      frames: float [T, H, W, 3] in [0, scale].
      seed: int [2].
      strength: factor that scales all ranges.
      scale: the input's largest value; the result is divided by it.
    """
    change_seed, chosen = _color_draws(seed)

    def changed() -> tf.Tensor:
        mean = tf.reduce_mean(frames[:, ::MEAN_STEP, ::MEAN_STEP], axis=[0, 1, 2]) / scale
        matrix, offset = color_map(change_seed, mean, strength)
        kernel = tf.transpose(matrix)[tf.newaxis, tf.newaxis] / scale
        mapped = tf.nn.bias_add(tf.nn.conv2d(frames, kernel, 1, "VALID"), offset)
        return tf.raw_ops.ClipByValue(t=mapped, clip_value_min=0.0, clip_value_max=1.0)

    return tf.cond(chosen, changed, lambda: frames / scale)


def color_change(seed: tf.Tensor, strength: float = 1.0) -> tf.Tensor:
    """Return the color change that `jitter_color` draws with this seed.

    Args:
      seed, strength: see `jitter_color`.

    Returns:
      float [3, 5]: columns 0 to 2 are `turn`, column 3 is `brightness` and column 4 `contrast` (the
      same in all rows). A pixel p in a clip with mean color m becomes
      contrast * turn @ p + turn @ (brightness + (1 - contrast) * m), clipped to [0, 1]. If nothing
      changes, these are the identity, 0 and 1.
    """
    change_seed, chosen = _color_draws(seed)
    turn, brightness, contrast = _drawn_color(change_seed, strength)
    drawn = tf.concat([turn, tf.fill([3, 1], brightness), tf.fill([3, 1], contrast)], axis=1)
    return tf.where(chosen, drawn, tf.constant(NO_COLOR_CHANGE))


def _color_draws(seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a color change's seed, and whether to apply one."""
    seeds = tf.random.split(seed, 2)
    return seeds[0], tf.random.stateless_uniform([], seeds[1]) < _COLOR_CHANCE


def color_map(seed: tf.Tensor, mean: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return a random color change: pixel -> matrix @ pixel + offset.

    Args:
      seed: int [2].
      mean: float [3], the clip's mean color in [0, 1], which contrast leaves unchanged.
      strength: see `jitter_color`.

    Returns:
      Matrix [3, 3] and offset [3]; they apply brightness first, then saturation, contrast and hue.
    """
    color, brightness, contrast = _drawn_color(seed, strength)
    offset = tf.linalg.matvec(color, brightness + (1.0 - contrast) * mean)
    return contrast * color, offset


def _drawn_color(seed: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return saturation and hue combined into a matrix [3, 3], brightness, and contrast."""
    draws = strength * (2.0 * tf.random.stateless_uniform([4], seed) - 1.0)
    brightness = _BRIGHTNESS * draws[0]
    saturation, contrast = 1.0 + _SATURATION * draws[1], 1.0 + _CONTRAST * draws[2]
    turn = 2.0 * math.pi * _HUE * draws[3]
    luma = tf.tile(tf.constant(_TO_YIQ[:1]), [3, 1])
    saturate = saturation * tf.eye(3) + (1.0 - saturation) * luma
    cos, sin = tf.cos(turn), tf.sin(turn)
    turned = tf.reshape(tf.stack([1.0, 0.0, 0.0, 0.0, cos, -sin, 0.0, sin, cos]), [3, 3])
    color = tf.constant(_FROM_YIQ) @ turned @ tf.constant(_TO_YIQ) @ saturate
    return color, brightness, contrast


def mask_log_mel(log_mel: tf.Tensor, seed: tf.Tensor, share: float) -> tf.Tensor:
    """Set a random band of frequencies and a random span of time to the spectrogram's mean.

    This follows SpecAugment (Park et al., arXiv 1904.08779); MMV does not mention it. Both widths
    are uniform between zero and `share` of the bins and of the frames. `freq_mask` and `time_mask`
    of tensorflow-io do not accept a seed.

    Args:
      log_mel: float [frames, mel_bins, 1].
      seed: int [2].
      share: fraction in [0, 1).
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
    """Add a random gain and random noise to a spectrogram; MMV does not mention this.

    VATT's code (google-research, vatt/) adds noise to the waveform; here it is added to the model's
    input, with the same strength in every band.

    Args:
      log_mel: float [frames, mel_bins, 1], logarithmic.
      seed: int [2].
      gain: a number from U(-gain, gain) is added to the whole spectrogram.
      noise: standard deviation of the noise added to each value.
    """
    gain_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    louder = tf.random.stateless_uniform([], gain_seed, -gain, gain)
    return log_mel + louder + noise * tf.random.stateless_normal(tf.shape(log_mel), noise_seed)


def drop_words(ids: tf.Tensor, seed: tf.Tensor, share: float, padding_id: int = 0) -> tf.Tensor:
    """Replace words with padding, each with probability `share`, but never all of a narration's.

    Ours. It keeps a small text backbone from relying on a single word.

    Args:
      ids: int32 [..., words].
      seed: int [2].
      share: probability in [0, 1).
      padding_id: the padding id.
    """
    kept = (tf.random.stateless_uniform(tf.shape(ids), seed) >= share) & (ids != padding_id)
    emptied = ~tf.reduce_any(kept, axis=-1, keepdims=True)
    return tf.where(kept | emptied, ids, padding_id)
