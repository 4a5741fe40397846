# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""LiteRT and ONNX files against the network."""

import importlib.util

import pytest

from mmv_tf import deflation
from mmv_tf.pretrained import create_model
from mmv_tf.publishing import portable
from tests import small_world

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime"))


@pytest.mark.parametrize("name", ["image", pytest.param("video", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_litert_encoder_equals_the_network(tiny_model, tmp_path, name):
    image_model = deflation.deflate_naively(tiny_model)
    path = tmp_path / f"{name}.tflite"
    differences = portable.write_portable(tiny_model, path, name, "litert", image_model)
    assert set(differences) == {"before_head", "va", "vat"}
    assert max(differences.values()) < 1e-4
    assert path.read_bytes()[4:8] == b"TFL3"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_a_space_to_depth_stem_is_written_too(tmp_path):
    config = small_world.model_config()
    config.video.stem = "space_to_depth"
    del config.text
    model = create_model(config)
    differences = portable.write_portable(model, tmp_path / "video.tflite", "video", "litert")
    assert max(differences.values()) < 1e-4


@pytest.mark.skipif(HAS_ONNX, reason="ONNX's tools are here")
def test_missing_tools_are_named(tiny_model, tmp_path):
    with pytest.raises(ValueError, match=r"mmv_tf\[onnx\]"):
        portable.write_portable(tiny_model, tmp_path / "video.onnx", "video", "onnx")
    assert not list(tmp_path.iterdir())


def test_what_can_not_be_written_is_refused(tiny_model, tmp_path):
    for arguments, message in (
        (("text.tflite", "text", "litert"), "use one of"),
        (("video.tflite", "video", "coreml"), "use one of"),
        (("video.onnx", "video", "litert"), "end in .tflite"),
        (("image.tflite", "image", "litert"), "deflated network"),
    ):
        name, *rest = arguments
        with pytest.raises(ValueError, match=message):
            portable.write_portable(tiny_model, tmp_path / name, *rest)
    tiny_model.metadata.clear()
    with pytest.raises(ValueError, match="pass a shape"):
        portable.write_portable(tiny_model, tmp_path / "video.tflite", "video", "litert")
