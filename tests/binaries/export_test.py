# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.pretrained import create_model
from tests import small_world
from tests.binaries.program import Program


@pytest.fixture(scope="module")
def program():
    program = Program("export")
    yield program
    program.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("network") / "model.keras"
    small_world.tiny_model().save(path)
    return path


def test_a_network_without_words_is_not_exported_with_text(program, tmp_path):
    create_model(small_world.model_config()).save(tmp_path / "model.keras")
    arguments = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'export'}")
    done = program(*arguments)
    assert done.status == 1
    assert "--modality=video --modality=audio" in done.stderr
    assert "--word_vectors" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.slow
def test_its_other_modalities_are_exported(program, tmp_path):
    create_model(small_world.model_config()).save(tmp_path / "model.keras")
    arguments = (f"--model={tmp_path / 'model.keras'}", f"--output={tmp_path / 'export'}")
    done = program(*arguments, "--modality=video", "--modality=audio")
    assert done.status == 0, done.stderr
    assert "signatures: video, audio." in done.stdout


CLIP = np.full([1, 4, 32, 32, 3], np.nan, np.float32)


@pytest.mark.slow  # a quick one is of the signatures: options_test
def test_exports_refuse_wrong_input(program, network, tmp_path):
    done = program(f"--model={network}", f"--output={tmp_path / 'export'}")
    assert done.status == 0, done.stderr
    module = tf.saved_model.load(str(tmp_path / "export"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="finite"):
        module.signatures["video"](tf.constant(CLIP))
    with pytest.raises(tf.errors.InvalidArgumentError, match="without a word"):
        module.signatures["text"](tf.constant(["the red square", "quo vadis"]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Divide 8-bit colours by 255"):
        module(tf.fill([1, 4, 32, 32, 3], 255.0))
    # Augmented clips may leave the range.
    module(tf.fill([1, 4, 32, 32, 3], 1.2), training=True)


@pytest.mark.slow
def test_exports_take_any_input_when_told_so(program, network, tmp_path):
    done = program(f"--model={network}", f"--output={tmp_path / 'export'}", "--nochecked")
    assert done.status == 0, done.stderr
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    signatures["video"](tf.constant(CLIP))
    signatures["text"](tf.constant(["quo vadis"]))
