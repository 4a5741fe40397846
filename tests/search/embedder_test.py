# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import keras
import numpy as np
import pytest

from mmv_tf.inference.reading import Block
from mmv_tf.pretrained import create_model
from mmv_tf.search import Embedder
from tests import small_world


@pytest.fixture(scope="module")
def embedder():
    keras.utils.set_random_seed(0)
    return Embedder(small_world.tiny_model(), "model.keras")


def test_wrong_pixels_and_samples_are_refused(embedder):
    windows = embedder.windows
    clip = np.full([1, windows.num_frames, windows.size, windows.size, 3], 255, np.uint8)
    assert np.isfinite(embedder.clips(clip)["vat"]).all()
    with pytest.raises(ValueError, match="float32 with values that reach 1; expected uint8"):
        embedder.clips(np.float32(clip) / 255)
    sound = np.full([1, windows.samples], 0.5, np.float32)
    assert np.isfinite(embedder.sounds(sound)["va"]).all()
    with pytest.raises(ValueError, match=r"reach 16384; .* divide 16-bit samples by 32768"):
        embedder.sounds(sound * 32768)
    sound[0, 7] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        embedder.sounds(sound)


@pytest.mark.parametrize("finer", [1, 3])
def test_windows_of_a_block_are_those_of_their_clips(embedder, finer):
    windows = embedder.windows
    starts = (6, 8, 10, 13)
    count = finer * (starts[-1] - starts[0] + windows.num_frames)
    shape = (count, windows.size, windows.size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    block = Block(starts, frames, None, finer)
    expected = embedder.clips(block.clips(windows))
    for space, value in embedder.windows_of(block).items():
        np.testing.assert_allclose(value, expected[space], atol=1e-5)


def test_sentences_for_a_network_without_words_are_refused():
    embedder = Embedder(create_model(small_world.model_config()), "model.keras")
    assert embedder.accepts == ("video", "audio", "image")
    with pytest.raises(ValueError, match=r"has no text input: it has a table .*--vocabulary=FILE"):
        embedder.sentence("a red square")
    config = small_world.model_config()
    del config.text
    embedder = Embedder(create_model(config), "model.keras")
    with pytest.raises(ValueError, match=r"has backbones for video, audio but none for text"):
        embedder.sentence("a red square")


def test_sentences_without_a_known_word_are_refused(embedder):
    for sentence in ("quo vadis", "was it", ""):
        with pytest.raises(ValueError, match="knows none of the words"):
            embedder.sentence(sentence)


def test_an_index_with_a_hash_of_weights_alone_is_of_the_saved_precision():
    model = small_world.tiny_model()
    embedder = Embedder(model, "model.keras")
    other = Embedder(model, "model.keras", options={"dtype": "bfloat16"})
    former = embedder._weights_hash
    assert embedder.made(former) and embedder.made(embedder.fingerprint)
    assert not other.made(former)
    assert not embedder.made("0" * 64)
