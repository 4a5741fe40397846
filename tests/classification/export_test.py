# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.server_process import ServerProcess
from mmv_tf import deflation
from mmv_tf.classification import Classifier, ClassifierNetwork, load_classifier
from mmv_tf.classification.export import export_classifier
from mmv_tf.classification.features import ClipReader
from mmv_tf.classification.prediction import find_clips
from mmv_tf.publishing import CONTRACT_FILE, ExportOptions, read_warmup, verify_checksums
from mmv_tf.publishing.flags import Destination
from mmv_tf.publishing.samples import WARMUP_FILE, encode_jpeg
from mmv_tf.serving.check import check_server
from mmv_tf.serving.client import RestClient, connect
from mmv_tf.serving.servable import Servable
from tests import small_world
from tests.classification import samples

LABELS = ["dé", "b;c", "d"]


def make_classifier(modality, multi_label=False, deflated=False):
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    tower = {"video": model.video, "audio": model.audio, "image": model.video}[modality]
    network = ClassifierNetwork(
        deflation.deflate_naively(model) if deflated else tower, LABELS, modality,
        multi_label=multi_label, windows=3, log_mel=model.log_mel if modality == "audio" else None,
        metadata={"num_frames": 4, "frame_rate": 5.0, "size": 32},
    )  # fmt: skip
    kernel = np.random.default_rng(0).normal(size=network.linear.kernel.shape)
    network.set_linear(3 * kernel, np.array([0.1, -0.1, 0.0]))
    return Classifier(network)


def windows_of(classifier, root):
    """Windows as a client cuts them, and the scores of the whole file."""
    (clip, *_) = find_clips([root], classifier.modality)
    windows, _ = ClipReader(classifier.encoder, classifier.modality, 3).read(clip)
    if windows.dtype == np.uint8:
        windows = windows / np.float32(255)
    return windows, classifier.predict(clip.path)["scores"][0]


def as_jpegs(clip):
    """JPEG frames of a clip, as a batch of one."""
    frames = (255 * clip).round().astype(np.uint8)
    return np.array([[encode_jpeg(frame, 95) for frame in frames]], object)


@pytest.mark.parametrize(
    ("modality", "deflated", "write"),
    [
        pytest.param("video", False, samples.write_films, marks=pytest.mark.slow),
        pytest.param("audio", False, samples.write_sounds, marks=pytest.mark.slow),
        pytest.param("image", False, samples.write_images, marks=pytest.mark.slow),
        pytest.param("image", True, samples.write_images, marks=pytest.mark.slow),
    ],
)
def test_the_signature_scores_as_predict_does(modality, deflated, write, tmp_path):
    classifier = make_classifier(modality, multi_label=modality == "audio", deflated=deflated)
    assert export_classifier(classifier, Destination(tmp_path / "saved")) == ["classify"]
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["classify"]
    windows, expected = windows_of(classifier, write(tmp_path / "data", 1))
    found = signature(**{modality: tf.constant(windows)})
    assert set(found) == {"scores", "labels"}
    np.testing.assert_allclose(found["scores"].numpy().mean(axis=0), expected, atol=1e-5)
    assert found["labels"].numpy().tolist() == [[text.encode() for text in LABELS]] * len(windows)


@pytest.mark.slow
def test_the_folder(tmp_path):
    classifier = make_classifier("audio")
    export_classifier(classifier, Destination(tmp_path, version=3, model_name="dogs"))
    folder = tmp_path / "3"
    verify_checksums(folder)
    contract = json.loads((folder / CONTRACT_FILE).read_text())
    assert contract["classifier"] == {"labels": LABELS, "multi_label": False, "windows": 3}
    assert contract["trained_at"] == {"num_frames": 4, "frame_rate": 5.0, "size": 32}
    assert contract["signatures"]["classify"]["input"]["sample_rate"] == 48_000
    (request,) = read_warmup(folder / WARMUP_FILE)
    assert request.model_spec.signature_name == "classify"
    assert list(request.inputs) == ["audio"]
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert "3 labels, exactly one per window: dé, b;c, d" in card
    assert 'name: "dogs"' in (tmp_path / "models.config").read_text()
    # Neither the folder's program nor the SavedModel needs mmv_tf.
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "example.py")],
        capture_output=True, text=True, cwd=tmp_path, env={"PYTHONIOENCODING": "utf-8"}, check=True,
    )  # fmt: skip
    assert [line.split(" ", 1)[1] for line in done.stdout.splitlines()] == LABELS
    assert sum(float(line.split()[0]) for line in done.stdout.splitlines()) == pytest.approx(
        1, 1e-2
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "write"),
    [
        ("audio", samples.write_sounds),
        ("video", samples.write_films),
    ],
)
def test_served_answers_are_those_of_predict(modality, write, tmp_path):
    classifier = make_classifier(modality)
    classifier.save(tmp_path / "c.keras")
    classifier = load_classifier(tmp_path / "c.keras")
    options = ExportOptions(video_jpeg=modality == "video", checked=True)
    names = export_classifier(classifier, Destination(tmp_path / "served", version=1), options)
    assert names == ["classify", "classify_jpeg"][: len(names)]
    windows, expected = windows_of(classifier, write(tmp_path / "data", 1, 3.0))
    local = Servable(tmp_path / "served")
    with ServerProcess(tmp_path / "served") as server:
        client = RestClient("127.0.0.1", server.rest, "tiny")
        found = client.predict("classify", {modality: windows})
        np.testing.assert_allclose(found["scores"].mean(axis=0), expected, atol=1e-5)
        assert [text.decode() for text in found["labels"][0]] == LABELS
        rows = {"signature_name": "classify", "instances": [one.tolist() for one in windows[:2]]}
        status, body = client.request("POST", "/v1/models/tiny:predict", json.dumps(rows).encode())
        assert status == 200
        predictions = json.loads(body)["predictions"]
        assert [row["labels"] for row in predictions] == [LABELS] * 2
        np.testing.assert_allclose(
            [row["scores"] for row in predictions], found["scores"][:2], atol=1e-5
        )
        bad = {"signature_name": "classify", "instances": [(255 * windows[0]).tolist()]}
        status, body = client.request("POST", "/v1/models/tiny:predict", json.dumps(bad).encode())
        assert status == 400 and b"1]" in body
        client.close()
        requests = {"classify": [{modality: windows[:1]}]}
        if modality == "video":
            requests["classify_jpeg"] = [{"video_jpeg": as_jpegs(windows[0])}]
        for scheme, port in (("http", server.rest), ("grpc", server.grpc)):
            address = f"{scheme}://127.0.0.1:{port}"
            report = check_server(lambda: connect(address, "tiny"), local, requests, [1], 1)  # noqa: B023
            for one in report["signatures"].values():
                assert one["difference"] < 1e-5
    if modality == "video":
        with_jpeg = local.run("classify_jpeg", requests["classify_jpeg"][0])["scores"]
        np.testing.assert_allclose(with_jpeg, found["scores"][:1], atol=0.1)


@pytest.mark.slow
def test_folded_and_in_sixteen_bits(tmp_path):
    classifier = make_classifier("audio")
    wave = np.random.default_rng(0).uniform(-1, 1, [2, 38_400]).astype(np.float32)
    expected = classifier.predict(wave)["scores"]
    for number, (options, most) in enumerate(
        (
            (ExportOptions(fold_batch_norms=True), 1e-5),
            (ExportOptions(fold_batch_norms=True, weights="bfloat16"), 0.1),
        )
    ):
        export_classifier(classifier, Destination(tmp_path / str(number)), options)
        signature = tf.saved_model.load(str(tmp_path / str(number))).signatures["classify"]
        np.testing.assert_allclose(signature(tf.constant(wave))["scores"], expected, atol=most)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ExportOptions(video_jpeg=True), "Only video classifiers accept JPEG frames"),
        (ExportOptions(normalized=True), "no embeddings"),
        (ExportOptions(modalities=("audio",)), "has one modality"),
    ],
)
def test_options_that_do_not_fit(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export_classifier(make_classifier("audio"), Destination(tmp_path / "x"), options)
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_wrong_input_is_refused(tmp_path):
    options = ExportOptions(checked=True)
    export_classifier(make_classifier("audio"), Destination(tmp_path / "saved"), options)
    signature = tf.saved_model.load(str(tmp_path / "saved")).signatures["classify"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="audio must be in"):
        signature(tf.fill([1, 38_400], 300.0))
