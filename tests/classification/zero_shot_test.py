# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import keras
import numpy as np
import pytest

from mmv_tf.classification import ZeroShotClassifier
from mmv_tf.classification.prediction import (
    PredictOptions,
    find_clips,
    predict_clips,
    told_modality,
)
from mmv_tf.deflation import deflate_naively
from mmv_tf.inference import Encoder, GraphNetwork, as_encoder
from tests import small_world
from tests.classification import samples

LABELS = ("a red square", "the circle falls", "sings")


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


def expected(encoder, embedded, labels=LABELS):
    """Softmax of cosines over 0.07, naively."""
    texts = encoder.embed_text(list(labels))["vat"].astype(np.float64)
    rows = []
    for item in embedded["vat"].astype(np.float64):
        cosines = [np.dot(item, t) / np.linalg.norm(item) / np.linalg.norm(t) for t in texts]
        powers = np.exp(np.array(cosines) / 0.07)
        rows.append(powers / powers.sum())
    return np.array(rows)


@pytest.mark.slow
def test_arrays(model):
    encoder = as_encoder(model)
    random = np.random.default_rng(0)
    clips = random.random([3, 4, 32, 32, 3]).astype(np.float32)
    wave = random.uniform(-1, 1, [2, 38_400]).astype(np.float32)
    for modality, array, embed in (
        ("video", clips, encoder.embed_video),
        ("audio", wave, encoder.embed_audio),
        ("image", clips[:, 0], encoder.embed_image),
    ):
        found = ZeroShotClassifier(encoder, LABELS, modality).predict(array)["scores"]
        np.testing.assert_allclose(found, expected(encoder, embed(array)), atol=1e-4)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_deflated_model(model):
    encoder = Encoder(GraphNetwork(model, deflate_naively(model)))
    images = np.random.default_rng(0).random([2, 40, 40, 3]).astype(np.float32)
    found = ZeroShotClassifier(encoder, LABELS, "image").predict(images)["scores"]
    np.testing.assert_allclose(found, expected(encoder, encoder.embed_image(images)), atol=1e-4)


def test_files(model, tmp_path):
    encoder = as_encoder(model)
    samples.write_sounds(tmp_path / "data", 1)
    assert told_modality([tmp_path / "data"]) == "audio"
    classifier = ZeroShotClassifier(encoder, LABELS, "audio", windows=2)
    clips = find_clips([tmp_path / "data"], "audio")
    found = predict_clips(classifier, clips, PredictOptions(per_window=True, top=2))
    assert found["labels"] == list(LABELS) and not found["multi_label"]
    for clip, one in zip(clips, found["files"], strict=True):
        windows = expected(encoder, encoder.embed_audio(clip.path, windows=2, per_window=True))
        np.testing.assert_allclose(one["scores"], windows.mean(axis=0), atol=1e-4)
        np.testing.assert_allclose([w["scores"] for w in one["windows"]], windows, atol=1e-4)
        assert one["top"][0]["label"] == LABELS[int(np.argmax(windows.mean(axis=0)))]
        assert len(one["top"]) == 2
    (tmp_path / "data" / "x.png").write_bytes(b"")
    with pytest.raises(ValueError, match="suffixes indicate audio and image; set the modality"):
        told_modality([tmp_path / "data"])
    with pytest.raises(ValueError, match="no such file"):
        told_modality([tmp_path / "none"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("red",), "expected at least two"),
        (("red", "red"), "without duplicates"),
        (("red", "Red "), "differ only in case, spaces"),
        (("red", " "), "printable"),
        (("red", "xylophone"), "1 of 2 classes, the model knows none of the words: 'xylophone'"),
    ],
)
def test_mistakes_in_labels(model, labels, message):
    with pytest.raises(ValueError, match=message):
        ZeroShotClassifier(as_encoder(model), labels, "audio")


def test_models_that_do_not_fit(model):
    config = small_world.model_config()
    del config.audio
    silent = small_world.create_model(
        config, small_world.WORDS, np.zeros([len(small_world.WORDS), 6], np.float32)
    )
    with pytest.raises(ValueError, match="accepts video, text, not audio"):
        ZeroShotClassifier(as_encoder(silent), LABELS, "audio")
    with pytest.raises(ValueError, match="temperature is 0"):
        ZeroShotClassifier(as_encoder(model), LABELS, "audio", temperature=0)
