# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf.layers import TemporalShift


def oracle(x, frames, fraction):
    """One channel of one frame at a time."""
    clips = x.reshape(-1, frames, *x.shape[1:])
    channels = x.shape[-1]
    n = int(channels * fraction)
    out = np.zeros_like(clips)
    order = [*range(channels - n, channels), *range(n, channels - n), *range(n)]
    for place, channel in enumerate(order):
        step = 1 if channel >= channels - n else -1 if channel < n else 0
        for t in range(frames):
            if 0 <= t + step < frames:
                out[:, t, ..., place] = clips[:, t + step, ..., channel]
    return out.reshape(x.shape)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize(("channels", "fraction"), [(8, 0.125), (16, 0.25), (6, 0.5), (4, 0.0)])
def test_matches_the_oracle(frames, channels, fraction):
    x = np.random.default_rng(0).normal(size=(3 * frames, 2, 3, channels)).astype(np.float32)
    outputs = TemporalShift(fraction)(x, num_frames=frames)
    np.testing.assert_array_equal(outputs, oracle(x, frames, fraction))


def test_too_few_channels_for_the_fraction_are_left_alone():
    x = np.ones([4, 1, 1, 7], np.float32)
    np.testing.assert_array_equal(TemporalShift(0.125)(x, num_frames=2), x)


def test_wrong_fraction_is_refused():
    with pytest.raises(ValueError, match=r"fraction is 0.6"):
        TemporalShift(0.6)
