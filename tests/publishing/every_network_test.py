# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every preset and graph, at small widths, in every format that it can be exported to."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation, publishing
from mmv_tf.pretrained import PRESETS, create_model, preset_config
from mmv_tf.publishing import ExportOptions, portable

HAS_ONNX = all(importlib.util.find_spec(name) for name in ("tf2onnx", "onnxruntime"))
MIL_NCE = "mil_nce_s3d"  # no preset: its network comes from a file only
WORDS = ["a", "red", "square", "moves"]
CLIP = (1, 4, 32, 32, 3)


def small(name):
    """A preset's network with thin, shallow towers."""
    config = preset_config("s3d_disjoint" if name == MIL_NCE else name)
    wide = config.video.get("width", 1)
    if "width" in config.video:
        del config.video.width  # a whole number, which takes no fraction in its place
    if config.video.backbone == "s3d":
        config.video.update({"width": 1 / 16, "blocks": (1, 1, 1)})
    else:
        config.video.update({"width": wide / 16, "depth": 18})
    config.audio.update({"width": 1 / 16, "depth": 18})
    config.text.update({"embedding_dim": 6, "dim": 16})
    config.graph.update(
        {"dim": 8} if config.graph.name != "fac" else {"fine_dim": 16, "coarse_dim": 8}
    )
    config.metadata.update({"num_frames": CLIP[1], "size": CLIP[2]})
    if name == MIL_NCE:
        config.video.update({"stem": "rgb_4x8x8", "pool_padding": "zeros_after"})
        config.graph.hidden_dim = None
        del config.audio
    return create_model(config, vocabulary=WORDS)


@pytest.fixture(scope="module")
def networks():
    """Name -> network and image network, made once each."""
    made = {}

    def get(name):
        if name not in made:
            keras.utils.set_random_seed(0)  # whatever ran before: some draws give only zeros
            model = small(name)
            made[name] = model, deflation.deflate_naively(model)
        return made[name]

    return get


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PRESETS, MIL_NCE])
def test_as_a_saved_model(networks, name, tmp_path):
    model, image_model = networks(name)
    options = ExportOptions(video_jpeg=True, fold_batch_norms=True)
    names = publishing.export(model, tmp_path / "export", image_model, options=options)
    assert set(names) == {*model.modalities, "image", "video_jpeg"}
    signatures = tf.saved_model.load(str(tmp_path / "export")).signatures
    clip = np.random.default_rng(0).random(CLIP, dtype=np.float32)
    expected = model({"video": clip})["video"]
    for key, value in signatures["video"](tf.constant(clip)).items():
        assert np.abs(value - expected[key]).max() <= 1e-4 * np.abs(expected[key]).max()


@pytest.mark.slow
@pytest.mark.parametrize("encoder", portable.ENCODERS)
@pytest.mark.parametrize(
    "kind",
    [
        "litert",
        pytest.param("onnx", marks=pytest.mark.skipif(not HAS_ONNX, reason="no ONNX tools")),
    ],
)
@pytest.mark.parametrize("name", [*PRESETS, MIL_NCE])
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")
def test_as_a_portable_file(networks, name, kind, encoder, tmp_path):
    model, image_model = networks(name)
    path = tmp_path / f"network{portable.SUFFIXES[kind]}"
    differences = portable.write_portable(model, path, encoder, kind, image_model)
    assert set(differences) == {"before_head", *model.spaces("video")}
    assert max(differences.values()) < 1e-4
