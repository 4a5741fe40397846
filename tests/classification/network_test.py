# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import dataclasses
import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmv_tf import deflation
from mmv_tf.classification import Classifier, ClassifierNetwork, load_classifier
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import load_encoder
from tests import media_samples, small_world

LABELS = ("a dog", "Katze", "<b>雨</b>")
METADATA = {"num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": True}


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return small_world.tiny_model()


def make(model: EmbeddingGraph, modality: str, **changes) -> ClassifierNetwork:
    log_mel = model.log_mel if modality == "audio" else None
    tower = model.video if modality == "image" else model.backbone(modality)
    arguments = {"log_mel": log_mel, "metadata": METADATA, **changes}
    network = ClassifierNetwork(arguments.pop("tower", tower), LABELS, modality, **arguments)
    random = np.random.default_rng(0)
    network.set_linear(random.normal(size=network.linear.kernel.shape), np.array([0.5, 0, -1]))
    return network


def expected(features, network):
    kernel, bias = network.linear.get_weights()
    logits = features.astype(np.float64) @ kernel + bias
    if network.multi_label:
        return 1 / (1 + np.exp(-logits))
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("multi_label", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("modality", "feature"),
    [("video", "before_head"), ("audio", "before_head"), ("audio", "last_conv"),
     ("image", "before_head")],
)  # fmt: skip
def test_a_file_scores_as_the_tower_and_the_linear_layer(
    model, modality, feature, multi_label, tmp_path
):
    encoder = load_encoder_of(model)
    shape = {"video": (3, 4, 32, 32, 3), "audio": (3, 38_400), "image": (3, 32, 32, 3)}[modality]
    inputs = np.random.default_rng(1).random(shape, np.float32)
    network = make(model, modality, feature=feature, multi_label=multi_label, windows=3)
    Classifier(network).save(tmp_path / "c.keras")
    loaded = load_classifier(tmp_path / "c.keras")
    assert loaded.labels == LABELS
    assert (loaded.modality, loaded.multi_label) == (modality, multi_label)
    assert (loaded.network.windows, loaded.network.feature) == (3, feature)
    assert dataclasses.asdict(loaded.settings) == {
        **METADATA, "sample_rate": 48_000 if modality == "audio" else None
    }  # fmt: skip
    before = network.tower.get_weights()
    for one, other in zip(loaded.network.tower.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, other)
    if modality == "image":
        features = encoder.embed_image(inputs)[feature]
    else:
        features = encoder.network.run(modality, inputs)[feature]
    found = loaded.predict(inputs)
    assert found.keys() == {"scores"}
    np.testing.assert_allclose(found["scores"], expected(features, network), atol=2e-5)
    assert loaded.fingerprint == Classifier(network).fingerprint
    network.set_linear(*(weight + 1e-3 for weight in network.linear.get_weights()))
    assert loaded.fingerprint != Classifier(network).fingerprint


def load_encoder_of(model):
    from mmv_tf.inference import as_encoder

    return as_encoder(model)


def test_a_deflated_tower(model, tmp_path):
    image_model = deflation.deflate_naively(model)
    network = make(model, "image", tower=image_model, metadata={"size": 32})
    Classifier(network).save(tmp_path / "c.keras")
    loaded = load_classifier(tmp_path / "c.keras")
    images = np.random.default_rng(1).random([2, 32, 32, 3], np.float32)
    features = image_model.features(tf.constant(images)).numpy()
    np.testing.assert_allclose(
        loaded.predict(images)["scores"], expected(features, network), atol=2e-5
    )


def test_log_mels_give_the_scores_of_their_waveforms(model):
    classifier = Classifier(make(model, "audio"))
    waves = np.random.default_rng(1).uniform(-1, 1, [2, 38_400]).astype(np.float32)
    np.testing.assert_allclose(
        classifier.predict(model.log_mel(waves).numpy())["scores"],
        classifier.predict(waves)["scores"],
        atol=1e-5,
    )


def test_a_video_file_has_the_mean_of_its_windows(model, tmp_path):
    film = media_samples.write_film(tmp_path / "film.mp4", seconds=3)
    classifier = Classifier(make(model, "video", windows=4))
    found = classifier.predict([film, film], per_window=True)
    assert found["item"].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found["start"][0] == 0
    np.testing.assert_allclose(found["end"] - found["start"], 0.8)
    np.testing.assert_allclose(found["end"][3], 3, atol=0.1)
    np.testing.assert_allclose(
        classifier.predict(film)["scores"][0], found["scores"][:4].mean(axis=0), atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feature": "va"}, "feature is 'va'; for audio, use before_head or last_conv"),
        ({"windows": 0}, "windows is 0; expected 1 to 1000"),
        ({"windows": 10**9}, "expected 1 to 1000"),
        ({"windows": "3"}, "windows is"),
        ({"multi_label": 1}, "multi_label is 1; expected true or false"),
        ({"log_mel": None}, "expected a LogMel, for audio only"),
        ({"metadata": {"num_frames": 4}}, "lacks frame_rate"),
        ({"metadata": {**METADATA, "num_frames": 10**6}}, "num_frames is 1000000"),
        ({"metadata": {"num_frames": 4096, "frame_rate": 0.01}}, "windows of a file have 1.97e.11"),
        ({"metadata": {**METADATA, "source_sha256": 3}}, "source_sha256 is 3"),
        ({"tower": keras.layers.Dense(3)}, "tower is a Dense; expected a backbone for audio"),
    ],
)
def test_wrong_arguments(model, changes, message):
    with pytest.raises(ValueError, match=message):
        make(model, "audio", **changes)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "got 0 labels"),
        (["a", ""], "got the label ''"),
        (["a", "b" * 201], "expected 1 to 200 printable"),
        (["a", "a\u0000"], "printable"),
        (["a", 3], "is 3; expected a string"),
        (["a", "a"], "duplicate"),
        (["Dog bark", "dogbark"], "'Dog bark' and 'dogbark' differ only in case"),
        ("ab", "labels is"),
        ({"a": 1}, "labels is"),
    ],
)
def test_wrong_labels(model, labels, message):
    with pytest.raises(ValueError, match=message):
        ClassifierNetwork(model.video, labels, "video", metadata=METADATA)


@pytest.mark.slow
def test_hostile_files(model, tmp_path):
    path = tmp_path / "c.keras"
    Classifier(make(model, "video")).save(path)

    def rewritten(change, name="h.keras"):
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / name, "w") as new:
            for member in old.namelist():
                data = old.read(member)
                if member == "config.json":
                    config = json.loads(data)
                    change(config["config"])
                    data = json.dumps(config).encode()
                new.writestr(member, data)
        return tmp_path / name

    assert load_classifier(rewritten(lambda config: None)).labels == LABELS
    for change in (
        lambda config: config.update(labels=["x"] * 3),
        lambda config: config.update(labels=[f"{n}" for n in range(10**5)]),
        lambda config: config.update(labels=["a", "b"]),
        lambda config: config.update(windows=-1),
        lambda config: config.update(modality="text"),
        lambda config: config.update(tower=None),
        lambda config: config["metadata"].update(size=10**6),
        lambda config: config["metadata"].update(size=4000) or config.update(windows=1000),
        lambda config: config.pop("labels"),
    ):
        with pytest.raises(ValueError, match="damaged"):
            load_classifier(rewritten(change))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="holds a FineAndCoarse, not a classifier"):
        load_classifier(tmp_path / "model.keras")
    with pytest.raises(ValueError, match="holds a classifier"):
        load_encoder(path)
    with pytest.raises(ValueError, match="There is no classifier at"):
        load_classifier(tmp_path / "none.keras")
    (tmp_path / "cut.keras").write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match="is truncated"):
        load_classifier(tmp_path / "cut.keras")
    with pytest.raises(ValueError, match=r"end in \.keras"):
        Classifier(make(model, "video")).save(tmp_path / "c.h5")


def test_values_that_are_not_finite(model, tmp_path):
    network = make(model, "video")
    with pytest.raises(ValueError, match="bias has values that are not finite"):
        network.set_linear(network.linear.kernel.numpy(), np.array([0, np.nan, 1]))
    network.linear.bias.assign([0, np.inf, 0])
    Classifier(network).save(tmp_path / "c.keras")
    with pytest.raises(ValueError, match="its linear layer has values that are not finite"):
        load_classifier(tmp_path / "c.keras")
