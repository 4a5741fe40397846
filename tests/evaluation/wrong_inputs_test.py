# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What a network was not made for is refused before it sees it, wherever results are kept."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from mmv_tf.evaluation.embed import ClipEmbedder
from mmv_tf.evaluation.extractor import Extractor
from mmv_tf.evaluation.feature_store import FeatureStore
from mmv_tf.evaluation.held_out import HeldOutRetrieval
from tests import small_world

CLIPS = 3


@pytest.fixture(scope="module")
def model():
    return small_world.tiny_model()


def batch(**changes):
    """As a reader gives it: one window a clip."""
    values = {
        "video": np.full([CLIPS, 1, 4, 32, 32, 3], 0.5, np.float32),
        "audio": np.zeros([CLIPS, 1, 40, 80, 1], np.float32),
        "text": np.full([CLIPS, 1, 2, 6], 3, np.int32),
        "valid/video": np.ones([CLIPS, 1], bool),
        "valid/audio": np.ones([CLIPS, 1], bool),
        "valid/text": np.ones([CLIPS, 1, 2], bool),
        "example_id": np.array([[f"clip-{n}"] for n in range(CLIPS)]),
        "label": np.zeros([CLIPS, 1], np.int32),
        "clip_start": np.zeros([CLIPS, 1], np.float32),
        "clip_end": np.ones([CLIPS, 1], np.float32),
    }
    return {key: tf.constant(value) for key, value in {**values, **changes}.items()}


class FakeReader:
    """Gives one batch."""

    def __init__(self, values):
        self.values = values
        self.directory = "nowhere"
        self.config = type("Config", (), {"split": "test"})

    def num_examples(self):
        return CLIPS

    def explained(self):
        return tf.name_scope("explained")

    def evaluate(self):
        return [self.values]


def wrong(modality):
    values = batch()[modality].numpy()
    values[1] = 255.0 if modality == "video" else np.nan
    return {modality: values}


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_clips_of_a_data_set(model, modality):
    embed = ClipEmbedder(model)
    assert len(embed(FakeReader(batch()))) == CLIPS
    with pytest.raises(ValueError, match=f"The {modality} of 1 of 3 clips .*: clip-1"):
        embed(FakeReader(batch(**wrong(modality))))


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_clips_that_are_held_out(model, modality, monkeypatch):
    config = small_world.data_config("nowhere")
    evaluate = HeldOutRetrieval(config, "validation", CLIPS)
    monkeypatch.setattr(evaluate, "_batches", lambda model, data: [batch(**wrong(modality))])
    with pytest.raises(ValueError, match=f"The {modality} of 1 of 3 clips .*: clip-1"):
        evaluate(model)


def test_windows_of_an_extractor(model):
    video = Extractor(model, "video")
    clip = np.full([1, 4, 32, 32, 3], 255, np.uint8)
    assert np.isfinite(video(clip)["before_head"]).all()
    with pytest.raises(ValueError, match="float32 with values that reach 1; expected uint8"):
        video(np.float32(clip) / 255)
    audio = Extractor(model, "audio", ["va"])
    sound = np.zeros([1, 40_000], np.float32)
    sound[0, 3] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        audio(sound)
    with pytest.raises(ValueError, match=r"reach 20000; .* divide 16-bit samples by 32768"):
        audio(np.full([1, 40_000], 20_000, np.float32))


def test_sentences_of_an_extractor_without_a_known_word_are_counted(model, caplog):
    text = Extractor(model, "text", ["vat"])
    with caplog.at_level(logging.WARNING):
        text(["the red square", "a circle"])
        assert not caplog.messages
        text(["the red square", "quo vadis", "was it the"])
    assert "2 of 3 sentences contain no word known to the model" in caplog.text
    assert "quo vadis" in caplog.text


def test_features_that_are_not_finite_are_not_kept(tmp_path):
    store = FeatureStore(tmp_path, {})
    with pytest.raises(ValueError, match="film: its 'va' is not finite"):
        store.add("film", "v", {"va": np.array([[0.0, np.nan]], np.float32)})
