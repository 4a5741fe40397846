# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import os
import pathlib

from mmv_tf.util.text_files import printable_name


def test_printable_name():
    assert printable_name("a/é 日本.mp4") == "a/é 日本.mp4"
    assert printable_name(pathlib.Path(os.fsdecode(b"d/caf\xe9.mp4"))) == r"d/caf\xe9.mp4"
    assert printable_name("a\ud800") == r"a\ud800"
