# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from mmv_tf import backbones, graphs

CLIPS = np.zeros([2, 2, 32, 32, 3], np.float32)


def make(cls=graphs.FineAndCoarse, modalities=("video", "audio", "text"), **arguments):
    parts = {
        "video": backbones.TSMResNet(18, 0.0625),
        "audio": backbones.ResNet(18, 0.0625),
        "text": backbones.Sentence(5, 6, 8),
    }
    return cls(**{name: parts[name] for name in modalities}, **arguments)


@pytest.fixture(scope="module")
def fac():
    return make(fine_dim=6, coarse_dim=4, hidden_dim=5)


def test_batch_sizes_may_differ(fac):
    outputs = fac(
        {
            "video": CLIPS,
            "audio": np.zeros([3, 20, 16], np.float32),
            "text": np.zeros([5, 4], np.int32),
        }
    )
    sizes = {modality: len(spaces["vat"]) for modality, spaces in outputs.items()}
    assert sizes == {"video": 2, "audio": 3, "text": 5}


def test_log_mel_may_lack_its_last_axis(fac):
    log_mel = np.random.default_rng(0).random((2, 20, 16, 1), np.float32)
    with_axis, without = fac({"audio": log_mel}), fac({"audio": log_mel[..., 0]})
    np.testing.assert_array_equal(with_axis["audio"]["va"], without["audio"]["va"])


def test_only_the_backbones_asked_for_run(fac, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("this backbone was not asked for")

    monkeypatch.setattr(fac.video, "call", refuse)
    monkeypatch.setattr(fac.audio, "call", refuse)
    assert set(fac({"text": np.zeros([1, 4], np.int32)})) == {"text"}


@pytest.mark.parametrize("modalities", [("video",), ("audio", "text"), ()])
def test_video_and_another_modality_have_to_be_there(modalities):
    with pytest.raises(ValueError, match="needs video and one more modality"):
        make(graphs.Shared, modalities)


def test_a_missing_backbone_is_named():
    model = make(graphs.Shared, ("video", "audio"))
    with pytest.raises(ValueError, match="'text' is not an input"):
        model({"text": np.zeros([1, 4], np.int32)})
    with pytest.raises(ValueError, match="no 'text' backbone"):
        model.common_space("video", "text")


@pytest.mark.parametrize(
    ("cls", "pairs"),
    [
        (graphs.FineAndCoarse, {"va": "va", "vt": "vat", "at": "vat"}),
        (graphs.Shared, {"va": "vat", "vt": "vat", "at": "vat"}),
        (graphs.Disjoint, {"va": "va", "vt": "vt", "at": None}),
    ],
)
def test_common_spaces(cls, pairs):
    model, names = make(cls), {"v": "video", "a": "audio", "t": "text"}
    for pair, space in pairs.items():
        first, second = (names[letter] for letter in pair)
        if space is None:
            with pytest.raises(ValueError, match="share no space"):
                model.common_space(first, second)
        else:
            assert model.common_space(first, second) == space
