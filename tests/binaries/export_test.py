# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import small_world
from tests.binaries.program import Program


@pytest.fixture(scope="module")
def program():
    program = Program("export")
    yield program
    program.close()


def test_exports_refuse_wrong_input_unless_told_otherwise(program, tmp_path):
    keras.utils.set_random_seed(0)
    small_world.tiny_model().save(tmp_path / "model.keras")
    clip = np.full([1, 4, 32, 32, 3], np.nan, np.float32)
    for flag, name in ((), "default"), (("--nochecked",), "unchecked"):
        target = tmp_path / name
        done = program(f"--model={tmp_path / 'model.keras'}", f"--output={target}", *flag)
        assert done.status == 0, done.stderr
        module = tf.saved_model.load(str(target))
        signatures = module.signatures
        if flag:
            signatures["video"](tf.constant(clip))
            signatures["text"](tf.constant(["quo vadis"]))
            continue
        with pytest.raises(tf.errors.InvalidArgumentError, match="finite"):
            signatures["video"](tf.constant(clip))
        with pytest.raises(tf.errors.InvalidArgumentError, match="without a word"):
            signatures["text"](tf.constant(["the red square", "quo vadis"]))
        with pytest.raises(tf.errors.InvalidArgumentError, match="Divide 8-bit colours by 255"):
            module(tf.fill([1, 4, 32, 32, 3], 255.0))
        # Augmented clips may leave the range.
        module(tf.fill([1, 4, 32, 32, 3], 1.2), training=True)
