# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is exported, loaded in a process in which mmv_tf can't be imported."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import publishing
from mmv_tf.pretrained import create_model
from tests import small_world

LOADER = """
import sys
sys.modules["mmv_tf"] = None
import numpy as np, tensorflow as tf
inputs = np.load(sys.argv[2], allow_pickle=False)
module = tf.saved_model.load(sys.argv[1])
assert set(module.signatures) == {"video", "audio", "text", "image"}
outputs = {}
for name, signature in module.signatures.items():
    for key, value in signature(tf.constant(inputs[name])).items():
        outputs[f"{name}/{key}"] = value.numpy()
clip = tf.constant(inputs["video"])
outputs["call/vat"] = module(clip)["vat"].numpy()
outputs["train/vat"] = module(clip, training=True)["vat"].numpy()
assert len(module.trainable_variables) and len(module.variables)
assert list(module.regularization_losses) == []
np.savez(sys.argv[3], **outputs)
"""


def test_every_signature_equals_the_network_elsewhere(exported, tmp_path):
    model, image_model, folder = exported
    generator = np.random.default_rng(0)
    inputs = {
        "video": generator.random((2, 5, 32, 40, 3)).astype(np.float32),
        "audio": generator.uniform(-1, 1, (3, 20_000)).astype(np.float32),
        "text": np.array(["The red square!", "", "nothing known here", "circle's left"]),
        "image": generator.random((2, 36, 32, 3)).astype(np.float32),
    }
    np.savez(tmp_path / "inputs.npz", **inputs)
    subprocess.run(
        [
            *(sys.executable, "-c", LOADER, str(folder)),
            *(str(tmp_path / "inputs.npz"), str(tmp_path / "outputs.npz")),
        ],
        check=True,
        cwd=tmp_path,
    )
    outputs = np.load(tmp_path / "outputs.npz")
    expected = {
        "video": model({"video": inputs["video"]})["video"],
        "audio": model({"audio": model.log_mel(inputs["audio"])})["audio"],
        "text": model({"text": model.tokenizer(inputs["text"])})["text"],
        "image": image_model(inputs["image"]),
    }
    keys = {"video": ("before_head", "va", "vat"), "audio": ("va", "vat"), "text": ("vat",)}
    keys["image"] = keys["video"]
    for name, spaces in keys.items():
        found = {key.split("/")[1] for key in outputs if key.startswith(f"{name}/")}
        assert found == {*spaces, *(("last_conv",) if name == "audio" else ())}
        for space in spaces:
            value = expected[name][space].numpy()
            np.testing.assert_allclose(
                outputs[f"{name}/{space}"], value, atol=1e-5 * np.abs(value).max(), rtol=1e-5
            )
    np.testing.assert_allclose(outputs["call/vat"], expected["video"]["vat"], rtol=1e-4, atol=1e-6)
    assert not np.allclose(outputs["train/vat"], outputs["call/vat"])
    assert outputs["audio/last_conv"].ndim == 4


def test_a_folder_that_is_there_is_left_alone(tiny_model, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="exists"):
            publishing.export(tiny_model, tmp_path / "mine", overwrite=overwrite)
    assert (tmp_path / "mine" / "file").read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_network_without_vocabulary_can_not_take_sentences(tmp_path):
    model = create_model(small_world.model_config())
    with pytest.raises(ValueError, match="no vocabulary"):
        publishing.export(model, tmp_path / "saved")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_gradients_reach_the_exported_weights(exported):
    module = tf.saved_model.load(str(exported[2]))
    clip = tf.random.stateless_uniform([2, 4, 32, 32, 3], [0, 0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(module(clip, training=True)["va"] ** 2)
    gradients = tape.gradient(loss, module.trainable_variables)
    assert sum(gradient is not None for gradient in gradients) > 20
