# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.data.reading.value_checks import check_windows, faulty_rows, refuse_faulty

SOUND = np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)


@pytest.mark.parametrize(
    ("modality", "windows", "message"),
    [
        ("video", np.full([1, 1, 2, 2, 3], 0.5), "float64 with values that reach 0.5; .* by 255"),
        ("image", np.full([1, 2, 2, 3], 300, np.int32), "int32 with values that reach 300; "),
        ("audio", np.array([[0.0, np.nan]]), "not finite"),
        ("audio", np.array([[0.0, -np.inf]]), "not finite"),
        ("audio", SOUND * 32768, "reach 32768; expected floats from -1 to 1; divide 16-bit"),
        ("audio", np.full([1, 3], -9, np.int16), "int16 with values that reach 9; .* 32768"),
        ("audio", SOUND * 1.01, "reach 1.01"),
    ],
)
def test_windows_of_another_kind_are_refused(modality, windows, message):
    with pytest.raises(ValueError, match=message):
        check_windows(modality, windows)


def test_windows_as_they_are_read_pass():
    check_windows("video", np.full([1, 2, 4, 4, 3], 255, np.uint8))
    check_windows("image", np.zeros([0, 4, 4, 3], np.uint8))
    check_windows("audio", SOUND * np.float32(1.0005))
    check_windows("audio", np.zeros([0, 4], np.float32))
    check_windows("text", np.array(["anything"]))


def test_faulty_rows_are_found_one_by_one():
    video = np.full([5, 2, 4, 4, 3], 0.5, np.float32)
    video[1, 0, 0, 0, 0] = np.nan
    video[2] *= 255
    video[3, 1, 2, 2, 1] = -0.05  # a bicubic filter's overshoot
    video[4, 1, 3, 3, 2] = -np.inf
    audio = np.full([5, 3, 2, 1], -12.0, np.float32)
    audio[1, 2, 1, 0] = np.inf
    for find in (faulty_rows, tf.function(faulty_rows)):
        assert find("video", tf.constant(video)).numpy().tolist() == [0, 1, 1, 0, 1]
        assert find("audio", tf.constant(audio)).numpy().tolist() == [0, 1, 0, 0, 0]
        assert find("text", tf.zeros([2, 3], tf.int32)).numpy().tolist() == [0, 0]
        assert find("video", tf.zeros([0, 2, 4, 4, 3])).shape == (0,)


def test_faulty_rows_are_counted_and_named():
    refuse_faulty("audio", np.zeros(2, bool), ["a", "b"])
    with pytest.raises(ValueError, match=r"audio of 1 of 2 clips .*: b\. Check the data"):
        refuse_faulty("audio", np.array([False, True]), ["a", "b"])
    with pytest.raises(
        ValueError, match=r"7 of 7 clips .* from 0 to 1\): 0, 1, 2, 3, 4 and 2 more"
    ):
        refuse_faulty("video", np.ones(7, bool), list("0123456"))
