# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from mmv_tf import backbones, graphs


def test_each_pair_has_its_space_and_video_a_head_into_each():
    model = graphs.Disjoint(
        video=backbones.TSMResNet(18, 0.0625),
        audio=backbones.ResNet(18, 0.0625),
        text=backbones.Sentence(5, 6, 8),
        dim=6,
        hidden_dim=5,
    )
    assert {m: model.spaces(m) for m in model.modalities} == {
        "video": ("va", "vt"),
        "audio": ("va",),
        "text": ("vt",),
    }
    outputs = model({"video": np.ones([1, 2, 32, 32, 3], np.float32)})["video"]
    assert np.abs(outputs["va"] - outputs["vt"]).max() > 0


def test_without_a_hidden_layer_each_head_is_one_linear_map():
    model = graphs.Disjoint(
        video=backbones.TSMResNet(18, 0.0625),
        text=backbones.Sentence(5, 6, 8),
        dim=6,
        hidden_dim=None,
    )
    assert model.spaces("video") == model.spaces("text") == ("vt",)
    outputs = model({"video": np.ones([2, 2, 32, 32, 3], np.float32)})["video"]
    kernel, bias = model.video_to_text.get_weights()
    np.testing.assert_allclose(outputs["vt"], outputs["before_head"] @ kernel + bias, atol=1e-5)


def test_without_text_there_is_no_space_for_it():
    model = graphs.Disjoint(
        video=backbones.TSMResNet(18, 0.0625), audio=backbones.ResNet(18, 0.0625), dim=6
    )
    assert model.spaces("video") == ("va",)
