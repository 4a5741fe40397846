# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np

from mmv_tf import backbones, graphs


def test_all_modalities_reach_one_space():
    model = graphs.Shared(
        video=backbones.TSMResNet(18, 0.0625),
        audio=backbones.ResNet(18, 0.0625),
        text=backbones.Sentence(5, 6, 8),
        dim=6,
        hidden_dim=5,
    )
    outputs = model(
        {
            "video": np.zeros([1, 2, 32, 32, 3], np.float32),
            "audio": np.zeros([1, 20, 16, 1], np.float32),
            "text": np.zeros([1, 3], np.int32),
        }
    )
    assert {m: tuple(d) for m, d in outputs.items()} == dict.fromkeys(
        ("video", "audio", "text"), ("before_head", "vat")
    )
    assert {tuple(d["vat"].shape) for d in outputs.values()} == {(1, 6)}
