# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finding, loading and describing a version."""

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.serving.servable import Servable, find_version


def make_version(folder):
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    return folder


def test_the_newest_version_is_taken(tmp_path):
    for name in ("9", "10", "1"):
        make_version(tmp_path / "model" / name)
    (tmp_path / "model" / "11").mkdir()  # nothing in it
    make_version(tmp_path / "model" / "draft")
    assert find_version(tmp_path / "model") == (tmp_path / "model" / "10", 10)
    assert find_version(tmp_path / "model" / "9") == (tmp_path / "model" / "9", 9)
    assert find_version(tmp_path / "model" / "draft")[1] == 1


def test_what_is_no_network_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match="no SavedModel"):
            find_version(path)
    with pytest.raises(ValueError, match="can't be loaded"):
        Servable(make_version(tmp_path / "broken"))
    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="no signatures"):
        Servable(tmp_path / "empty")


def test_any_saved_model_will_do(tmp_path):
    """Without a contract, warm-up requests or a number."""
    module = tf.Module()
    spec = tf.TensorSpec([None, 2], tf.float32, name="x")
    double = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": double})
    servable = Servable(tmp_path / "m")
    assert servable.version == 1 and servable.warm_up() == 0
    signature = servable.signatures["serving_default"]
    assert signature.inputs["x"].shape == (None, 2) and signature.outputs == ("y",)
    assert not signature.inputs["x"].limits
    outputs = servable.run("serving_default", {"x": np.ones((3, 2), np.float32)})
    np.testing.assert_array_equal(outputs["y"], np.full((3, 2), 2))


def test_a_published_network_brings_its_contract(servable):
    assert servable.version == 2
    assert servable.signatures["video"].inputs["video"].limits["maximum"] == 1.0
    assert servable.signatures["video_jpeg"].inputs["video_jpeg"].limits["encoding"] == "jpeg"
    assert servable.warm_up() == 5
