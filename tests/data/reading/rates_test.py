# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from mmv_tf.data.reading import settings
from mmv_tf.layers import LogMel


def test_a_whole_stride_is_an_int():
    assert settings.stride(30.0, 10.0) == 3 and isinstance(settings.stride(30.0, 10.0), int)
    assert settings.stride(0.3, 0.1) == 3 and isinstance(settings.stride(0.3, 0.1), int)
    assert settings.stride(25.0, 10.0) == 2.5


@pytest.mark.parametrize("wanted", [3.0, 10.0])
def test_frames_that_are_not_stored_are_refused(wanted):
    settings.check_frame_rate(5.0, 5.0)
    settings.check_frame_rate(5.0, 2.5)
    with pytest.raises(ValueError, match=f"5 frames a second; expected a multiple of {wanted:g}"):
        settings.check_frame_rate(5.0, wanted)


def test_another_sample_rate_is_refused():
    settings.check_sample_rate(800.0, 800)
    with pytest.raises(ValueError, match="800 samples a second, but the model expects 1600"):
        settings.check_sample_rate(800, 1600)


def test_another_spectrogram_is_refused():
    log_mel = LogMel(mel_bins=8)
    settings.check_log_mel(log_mel.get_config(), log_mel, pathlib.Path("d"))
    with pytest.raises(ValueError, match=r"d: .* made with mel_bins 9 instead of 8"):
        settings.check_log_mel({"mel_bins": 9}, log_mel, pathlib.Path("d"))
