# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measurements of generated films for tests of decoding."""

import numpy as np

from mmv_tf.data import media
from tests import media_samples


def numbers(path, *arguments):
    """Return (time, frame number) of the frames; see `media.iter_frames`."""
    return [
        (round(time, 4), media_samples.frame_number(jpeg))
        for time, jpeg in media.iter_frames(path, *arguments)
    ]


def onset(waveform, rate):
    """Return the second at which the tone starts."""
    return np.flatnonzero(np.abs(waveform) > 0.1)[0] / rate
