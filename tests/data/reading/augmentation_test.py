# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import colorsys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.reading import augmentation


def test_evaluation_crops_the_middle():
    # 48 * 200 / 224 = 43 pixels, in the middle of 48 and of 64.
    middle = augmentation.crop_window(tf.constant(48), tf.constant(64), None, 0.2)
    np.testing.assert_array_equal(middle, [2, 10, 43, 43])
    whole = augmentation.crop_window(tf.constant(48), tf.constant(64), None, 0.2, square=False)
    np.testing.assert_array_equal(whole[2:], [43, 57])


def test_crops_are_those_of_a_jittered_frame_resized_to_224_and_cut_to_200():
    height, width = 256, 340
    plain = 0
    for number in range(200):
        seed = tf.constant([0, number])
        top, left, rows, columns = augmentation.crop_window(
            tf.constant(height), tf.constant(width), seed, 0.2
        ).numpy()
        assert top >= 0 and top + rows <= height and left >= 0 and left + columns <= width
        draws = tf.random.stateless_uniform([5], seed).numpy()
        a, b = 1 + 0.2 * (2 * draws[:2] - 1) if draws[2] < 0.8 else (1.0, 1.0)
        scale = 224 / min(a * height, b * width)  # the short side to 224
        assert rows == pytest.approx(200 / (a * scale), abs=0.51)
        assert columns == pytest.approx(200 / (b * scale), abs=0.51)
        plain += (rows, columns) == (229, 229)
    assert 20 < plain < 65  # a fifth is not jittered


def test_a_frame_of_one_pixel_is_cropped_to_itself():
    crop = augmentation.crop_window(tf.constant(1), tf.constant(1), tf.constant([0, 1]), 0.2)
    np.testing.assert_array_equal(crop, [0, 0, 1, 1])


def _naive_colors(pixels, draws, mean):
    """Change one pixel at a time, one change after the other."""
    brightness, saturation, contrast, hue = draws
    result = np.empty_like(pixels)
    mean = mean + brightness
    mean_grey = mean @ [0.299, 0.587, 0.114]
    mean = saturation * mean + (1 - saturation) * mean_grey
    for index, pixel in enumerate(pixels):
        pixel = pixel + brightness
        grey = pixel @ [0.299, 0.587, 0.114]
        pixel = saturation * pixel + (1 - saturation) * grey
        pixel = contrast * pixel + (1 - contrast) * mean
        y, i, q = augmentation._TO_YIQ.astype(float) @ pixel
        turned = (i + 1j * q) * np.exp(2j * np.pi * hue)
        pixel = np.linalg.solve(augmentation._TO_YIQ, [y, turned.real, turned.imag])
        result[index] = np.clip(pixel, 0, 1)
    return result


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_colors_change_as_one_by_one(seed):
    frames = np.random.default_rng(seed).uniform(size=(5, 9, 16, 3)).astype(np.float32)
    while True:
        key = tf.constant([5, seed])
        seeds = tf.random.split(key, 2)
        if tf.random.stateless_uniform([], seeds[1]) < 0.8:
            break
        seed += 10
    u = 2 * tf.random.stateless_uniform([4], seeds[0]).numpy() - 1
    draws = (32 / 255 * u[0], 1 + 0.4 * u[1], 1 + 0.4 * u[2], 0.2 * u[3])
    # The mean of every eighth row and column.
    looked_at = [frames[t, y, x] for t in range(5) for y in (0, 8) for x in (0, 8)]
    mean = np.mean(looked_at, axis=0)
    expected = _naive_colors(frames.reshape(-1, 3), draws, mean).reshape(frames.shape)
    found = augmentation.jitter_color(frames * 255, key, scale=255.0)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_hue_turns_colors_and_leaves_grays():
    matrix, offset = augmentation.color_map(tf.constant([1, 2]), tf.zeros(3), strength=0.0)
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(offset, np.zeros(3), atol=1e-6)
    frames = np.full((1, 8, 8, 3), 0.5, np.float32)
    for number in range(5):
        found = augmentation.jitter_color(frames, tf.constant([0, number])).numpy()
        np.testing.assert_allclose(found, np.broadcast_to(found[..., :1], found.shape), atol=1e-5)


def test_colors_stay_near_those_of_an_hsv_jitter():
    # Changing hue alone in YIQ and in HSV agrees to about a twelfth of a turn.
    yiq = augmentation._TO_YIQ.astype(float)
    for red, green, blue in np.random.default_rng(0).uniform(0.2, 0.8, (50, 3)):
        angle = 2 * np.pi * 0.1
        y, i, q = yiq @ [red, green, blue]
        turned = (i + 1j * q) * np.exp(1j * angle)
        rotated = np.linalg.solve(yiq, [y, turned.real, turned.imag])
        before = colorsys.rgb_to_hsv(red, green, blue)
        after = colorsys.rgb_to_hsv(*rotated)
        if before[1] > 0.2:
            moved = (after[0] - before[0] + 0.5) % 1 - 0.5
            assert abs(abs(moved) - 0.1) < 1 / 12


def test_a_flip_mirrors_every_frame_or_none():
    frames = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3)).astype(np.uint8)
    seen = set()
    for number in range(20):
        found = augmentation.flip(tf.constant(frames), tf.constant([0, number])).numpy()
        mirrored = np.array_equal(found, frames[:, :, ::-1])
        assert mirrored or np.array_equal(found, frames)
        seen.add(mirrored)
    assert seen == {True, False}


def test_masking_covers_a_band_and_a_stretch_only():
    log_mel = tf.random.stateless_uniform([40, 20, 1], [0, 0]) + 1.0
    masked = augmentation.mask_log_mel(log_mel, tf.constant([3, 4]), share=0.5).numpy()[..., 0]
    changed = masked != log_mel.numpy()[..., 0]
    rows, columns = changed.all(axis=1), changed.all(axis=0)
    np.testing.assert_array_equal(changed, rows[:, None] | columns[None])
    assert rows.sum() <= 20 and columns.sum() <= 10 and changed.any()


def test_a_sound_gets_louder_as_a_whole_and_noisy_in_every_band():
    log_mel = tf.random.stateless_uniform([40, 20, 1], [0, 0])
    louder = augmentation.jitter_log_mel(log_mel, tf.constant([1, 2]), gain=0.5, noise=0.0)
    difference = (louder - log_mel).numpy()
    assert 0 < abs(difference.mean()) <= 0.5
    np.testing.assert_allclose(difference, difference.mean(), atol=1e-6)
    noisy = augmentation.jitter_log_mel(log_mel, tf.constant([1, 2]), gain=0.0, noise=0.3)
    difference = (noisy - log_mel).numpy()
    assert difference.std() == pytest.approx(0.3, rel=0.1)
    assert abs(difference.mean()) < 0.05


def test_dropped_words_become_padding_but_some_word_stays():
    ids = np.tile(np.array([[5, 6, 7, 8, 0, 0], [9, 0, 0, 0, 0, 0]], np.int32), (200, 1, 1))
    dropped = augmentation.drop_words(tf.constant(ids), tf.constant([0, 7]), share=0.4).numpy()
    assert ((dropped == ids) | (dropped == 0)).all()
    assert (dropped != 0).any(axis=-1).all()
    # The share, except for texts that would be empty: 0.4 ** 4 of the first, all of the second.
    assert 0.3 < (dropped[:, 0, :4] == 0).mean() < 0.45
    np.testing.assert_array_equal(dropped[:, 1], ids[:, 1])
