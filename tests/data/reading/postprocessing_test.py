# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data import default_config
from mmv_tf.data.reading.reader import Postprocessing
from mmv_tf.layers import LogMel, WordTokenizer


@pytest.fixture(scope="module")
def log_mel():
    return LogMel(sample_rate=800, window=64, step=32, mel_bins=8, lower_hz=20.0, upper_hz=400.0)


def batch(leading, candidates=("stir soup", "the", "")):
    rng = np.random.default_rng(0)
    rows = int(np.prod(leading))
    said = tf.reshape(tf.tile(list(candidates), [rows]), [*leading, len(candidates)])
    return {
        "waveform": tf.constant(rng.normal(0, 0.1, (*leading, 640)), tf.float32),
        "candidates": said,
        "valid/text": tf.fill([*leading, len(candidates)], True) & (said != ""),
        "seed": tf.constant(rng.integers(0, 99, (rows, 2, 2)), tf.int32),
    }


@pytest.mark.parametrize("leading", [(3,), (2, 4)])
def test_waveforms_become_log_mels_and_narrations_ids(log_mel, leading):
    given = batch(leading)
    del given["seed"]
    tokenizer = WordTokenizer(["stir", "soup"], max_words=3)
    done = Postprocessing(default_config(), tokenizer, log_mel)(given)
    assert set(done) == {"audio", "text", "caption", "valid/text"}
    flat = log_mel(tf.reshape(given["waveform"], [-1, 640])).numpy()
    np.testing.assert_array_equal(done["audio"], flat.reshape(*leading, *flat.shape[1:]))
    np.testing.assert_array_equal(np.unique(done["caption"]), [b"stir soup"])
    assert done["text"].shape == (*leading, 3, 3)
    # A narration of only a stop word is invalid, and so is a missing one.
    np.testing.assert_array_equal(
        done["valid/text"], np.broadcast_to([True, False, False], (*leading, 3))
    )


def test_masks_are_drawn_for_each_example(log_mel):
    config = default_config()
    config.update(audio_mask=0.5)
    done = Postprocessing(config, None, log_mel)(batch((4,)))
    plain = Postprocessing(default_config(), None, log_mel)(batch((4,)))
    changed = (done["audio"] != plain["audio"]).numpy()[..., 0]
    assert "text" not in done and "seed" not in done
    assert changed.any(axis=(1, 2)).all() and not changed.all(axis=(1, 2)).any()
    assert not np.array_equal(changed[0], changed[1])
    again = Postprocessing(config, None, log_mel)(batch((4,)))
    np.testing.assert_array_equal(done["audio"], again["audio"])
