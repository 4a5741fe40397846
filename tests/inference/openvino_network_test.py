# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The engine OpenVINO answers as TensorFlow does."""

import importlib.util

import numpy as np
import pytest

from mmv_tf.deflation import deflate_naively
from mmv_tf.inference import load_encoder
from mmv_tf.inference.network import IMAGE, TEXT, VIDEO
from mmv_tf.training import save_model
from tests import small_world

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    model = small_world.tiny_model()
    save_model(model, folder / "model.keras")
    deflate_naively(model).save(folder / "image.keras")
    return folder


def nearest(found, expected):
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float(np.min((found * expected).sum(axis=1) / lengths))


@needs_openvino
def test_it_answers_as_tensorflow(files):
    images = {"image_model": files / "image.keras"}
    ours = load_encoder(files / "model.keras", **images).network
    other = load_encoder(files / "model.keras", engine="openvino", **images).network
    assert other.fingerprint == ours.fingerprint
    generator = np.random.default_rng(0)
    clips = generator.random((3, 4, 32, 32, 3)).astype(np.float32)
    pixels = generator.integers(0, 256, (2, 4, 32, 32, 3)).astype(np.uint8)
    inputs = [(VIDEO, clips), (VIDEO, pixels), (IMAGE, clips[:, 0]), (VIDEO, clips[:0])]
    for kind, values in inputs:
        expected, found = ours.run(kind, values), other.run(kind, values)
        assert set(found) == set(expected)
        for name, value in expected.items():
            assert found[name].dtype == np.float32
            np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(
        other.run(TEXT, ["red square"])["vat"], ours.run(TEXT, ["red square"])["vat"]
    )


@needs_openvino
def test_in_bfloat16_it_is_another_model_near_the_first(files):
    ours = load_encoder(files / "model.keras").network
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(ValueError, match="does not compute in bfloat16 on this processor"):
            load_encoder(files / "model.keras", engine="openvino", dtype="bfloat16")
        return
    other = load_encoder(files / "model.keras", engine="openvino", dtype="bfloat16").network
    assert other.fingerprint != ours.fingerprint
    clips = np.random.default_rng(0).random((2, 4, 32, 32, 3)).astype(np.float32)
    expected, found = ours.run(VIDEO, clips), other.run(VIDEO, clips)
    assert nearest(found["va"], expected["va"]) > 0.99
    assert not np.array_equal(found["va"], expected["va"])


def test_mistakes(files, monkeypatch):
    with pytest.raises(ValueError, match="engine is 'onnx'; use one of tensorflow, openvino"):
        load_encoder(files / "model.keras", engine="onnx")
    with pytest.raises(ValueError, match="runs in OpenVINO; set engine"):
        load_encoder(files / "model.keras", quantized=files)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="an extra: pip install 'mmv_tf\\[openvino\\]'"):
        load_encoder(files / "model.keras", engine="openvino")
