# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from mmv_tf.data.integrity.checks import looks_like_integers
from tests.records import speech_like


@pytest.mark.parametrize("level", [0.001, 0.02, 0.3, 0.99])
@pytest.mark.parametrize("bits", [16, 32])
def test_integers_read_as_floats_are_told_from_sound(level, bits):
    sound = speech_like(level=level)
    integers = np.round(sound.astype(np.float64) * (2**31 - 1)).astype("<i4")
    if bits == 16:  # FFmpeg shifts 16-bit samples up.
        integers = integers >> 16 << 16
    assert looks_like_integers(integers.view("<f4"))
    assert not looks_like_integers(sound)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(1000, np.float32),
        np.full(1000, np.nan, np.float32),
        np.r_[speech_like(), np.full(9000, np.nan, np.float32)],
        np.full(1000, 1e-30, np.float32),
        speech_like() * 32_768,
        np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32),
        (speech_like() * 1e-3 ** np.linspace(0, 14, 12_801)[: len(speech_like())]).astype("f4"),
    ],
    ids=["silence", "NaN", "half NaN", "one tiny value", "16 bit", "noise", "fading out"],
)
def test_other_sound_is_not_taken_for_integers(sound):
    assert not looks_like_integers(sound)
