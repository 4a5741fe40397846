# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Networks of every kind by one function."""

from __future__ import annotations

import pathlib
import pickle
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import mmv_tf
from mmv_tf import deflation, pretrained, publishing
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.inference import GraphNetwork, ModuleNetwork, as_encoder, load_encoder, open_model
from mmv_tf.training import checkpoints as checkpoints_lib
from mmv_tf.training.checkpoints import CheckpointStore
from mmv_tf.training.run_folder import INITIAL_FILE, MODEL_FILE, make_checkpoint
from tests import modules, small_world
from tests.pretrained import checkpoints, mil_nce_checkpoints

CLIPS = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), np.uint8)


def small_model():
    """A network of videos and sentences, which is built and read in a moment."""
    keras.utils.set_random_seed(0)
    config = small_world.model_config()
    del config.audio
    vectors = np.random.default_rng(0).normal(size=(len(small_world.WORDS), 6)).astype(np.float32)
    return pretrained.create_model(config, small_world.WORDS, vectors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files and folders of each kind, by the names that tests use."""
    root = tmp_path_factory.mktemp("networks")
    model = small_model()
    model.save(root / "model.keras")
    deflation.deflate_naively(model).save(root / "image.keras")
    checkpoints.write(root / "mmv.pkl", checkpoints.tiny_tree("s3d"))
    words = ["<pad>", *small_world.WORDS]
    (root / "mmv.txt").write_text("\n".join(words) + "\n")
    mil_nce_checkpoints.write(root / "mil_nce.pth", mil_nce_checkpoints.small_state())
    (root / "mil_nce.txt").write_text("\n".join(mil_nce_checkpoints.WORDS) + "\n")
    modules.write_tf1(root / "tf1")
    modules.write_tf2(root / "tf2")
    return root


@pytest.fixture(scope="module")
def model(folder):
    return keras.saving.load_model(folder / "model.keras")


def video(network, clips=CLIPS):
    return network({"video": tf.constant(clips, tf.float32) / 255})["video"]["vat"].numpy()


def refused(call, match="."):
    """The one line of a ValueError."""
    with pytest.raises(ValueError, match=match) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Of our own.


def test_a_keras_file(folder, model):
    encoder = mmv_tf.load_encoder(folder / "model.keras")
    assert encoder.source == str(folder / "model.keras")
    assert encoder.accepts == ("video", "text", "image")
    assert vars(encoder.settings) == {
        "num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": True, "sample_rate": None
    }  # fmt: skip
    np.testing.assert_allclose(encoder.embed_video(CLIPS)["vat"], video(model), rtol=1e-4)
    assert encoder.fingerprint == load_encoder(str(folder / "model.keras")).fingerprint
    assert encoder.fingerprint == as_encoder(model).fingerprint
    assert as_encoder(encoder) is encoder


def test_a_deflated_network(folder):
    images = CLIPS[:, 0]
    encoder = load_encoder(folder / "image.keras")
    assert (encoder.modalities, encoder.image_by) == (("image",), "deflated network")
    outputs = encoder.network.image_model(images.astype(np.float32) / 255)
    found = encoder.embed_image(images)
    for name, values in outputs.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-6)
    message = refused(
        lambda: load_encoder(folder / "image.keras", image_model=folder / "image.keras")
    )
    assert "deflated network already; leave image_model out" in message


@pytest.mark.slow
def test_a_run_and_a_checkpoint_of_it(folder, model, tmp_path):
    untrained = small_model()
    untrained.video.weights[0].assign_add(tf.ones_like(untrained.video.weights[0].value))
    untrained.save(tmp_path / INITIAL_FILE)
    store = CheckpointStore(tmp_path)
    refused(lambda: load_encoder(tmp_path), "holds no checkpoint yet; train for some steps")
    store.save(5, make_checkpoint(model))
    (checkpoint,) = (tmp_path / checkpoints_lib.FOLDER).iterdir()
    trained, other = as_encoder(model).fingerprint, as_encoder(untrained).fingerprint
    assert trained != other
    for place in (tmp_path, checkpoint):
        assert load_encoder(place).fingerprint == trained
    # The finished network goes before the checkpoints.
    untrained.save(tmp_path / MODEL_FILE)
    assert load_encoder(tmp_path).fingerprint == other


@pytest.mark.slow  # a quick one: module_network_test
def test_an_exported_network(model, tmp_path):
    options = publishing.ExportOptions(modalities=("text",))
    publishing.export(model, tmp_path, version=7, options=options)
    encoder = load_encoder(tmp_path)
    assert isinstance(encoder.network, ModuleNetwork)
    assert (encoder.accepts, encoder.settings.size) == (("text",), 32)
    found = encoder.embed_text(["red square"])["vat"]
    wanted = as_encoder(model).embed_text(["red square"])["vat"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert load_encoder(tmp_path / "7").fingerprint == encoder.fingerprint


# Published.


@pytest.mark.parametrize("name", ["tf1", "tf2"])
def test_a_module(folder, name):
    settings = {"num_frames": 4, "frame_rate": 5.0, "size": 16, "sample_rate": 8000}
    encoder = load_encoder(folder / name, settings=settings)
    assert encoder.settings.sample_rate == 8000
    assert encoder.accepts == ("video", "audio", "text", "image")
    wanted = (CLIPS / 255).mean((1, 2, 3)) @ modules.weights()["video_vat"]
    np.testing.assert_allclose(encoder.embed_video(CLIPS)["vat"], wanted, rtol=1e-4, atol=1e-5)
    assert encoder.fingerprint == load_encoder(folder / name).fingerprint
    for option in ({"dtype": "bfloat16"}, {"vocabulary": ["red"]}, {"image_model": "x.keras"}):
        (given,) = option
        refused(lambda option=option: load_encoder(folder / name, **option), f"leave {given} out")
    refused(
        lambda: open_model(folder / name), "is a SavedModel, which can embed but not be changed"
    )


def test_a_pickle_of_mmv(folder, tmp_path):
    encoder = load_encoder(folder / "mmv.pkl", vocabulary=folder / "mmv.txt")
    again = load_encoder(folder / "mmv.pkl", vocabulary=["<pad>", *small_world.WORDS])
    assert encoder.accepts == ("video", "audio", "text", "image")
    assert encoder.fingerprint == again.fingerprint
    assert encoder.settings.num_frames == 32
    ids = [[1, 3] + 14 * [0]]  # "red square"
    np.testing.assert_array_equal(
        encoder.embed_text("red square")["vat"], encoder.embed_text(ids)["vat"]
    )


@pytest.mark.slow
def test_a_pickle_with_its_word_vectors_and_as_a_keras_file(folder, tmp_path):
    mute = load_encoder(folder / "mmv.pkl")
    assert mute.accepts == ("video", "audio", "image")
    mute.network.model.save(tmp_path / "imported.keras")
    assert load_encoder(tmp_path / "imported.keras").fingerprint == mute.fingerprint
    vectors = tmp_path / "words.vec"
    table = mute.network.model.text.embedding.embeddings.numpy()
    rows = [f"w{n} " + " ".join(map(str, row)) for n, row in enumerate(table)]
    vectors.write_text(f"{len(rows)} {table.shape[1]}\n" + "\n".join(rows) + "\n")
    by_vectors = load_encoder(folder / "mmv.pkl", vocabulary=vectors)
    np.testing.assert_array_equal(
        by_vectors.embed_text("w3")["vat"], mute.embed_text([[3] + 15 * [0]])["vat"]
    )


def test_a_torch_file_of_mil_nce(folder, tmp_path):
    encoder = load_encoder(folder / "mil_nce.pth", vocabulary=folder / "mil_nce.txt")
    assert encoder.accepts == ("video", "text", "image")
    assert encoder.common_space("text", "video") == "vt"
    assert encoder.settings.sample_rate is None
    words = mil_nce_checkpoints.WORDS
    again = load_encoder(folder / "mil_nce.pth", vocabulary=words)
    assert again.fingerprint == encoder.fingerprint
    # Two functions: on some processors the last bit differs.
    np.testing.assert_allclose(
        encoder.embed_text("onion")["vt"],
        encoder.embed_text([[1 + words.index("onion")] + 19 * [0]])["vt"],
        rtol=1e-6,
    )
    assert load_encoder(folder / "mil_nce.pth").accepts == ("video", "image")
    # Its words are found where they lie beside it.
    shutil.copy(folder / "mil_nce.pth", tmp_path)
    np.save(tmp_path / "s3d_dict.npy", np.array(words))
    assert load_encoder(tmp_path / "mil_nce.pth").fingerprint == encoder.fingerprint


def test_a_published_name_is_found_in_the_cache(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MMV_TF_CACHE", str(tmp_path))
    for name, file in (("mmv_s3d", "mmv_s3d.pkl"), ("hub_mmv_s3d", None)):
        place = tmp_path / name
        if file:
            place.mkdir()
            shutil.copy(folder / "mmv.pkl", place / file)
        else:
            shutil.copytree(folder / "tf1", place)
    encoder = load_encoder("mmv_s3d", vocabulary=folder / "mmv.txt")
    assert encoder.source == "mmv_s3d"
    assert isinstance(encoder.network, GraphNetwork)
    assert isinstance(load_encoder("hub_mmv_s3d").network, ModuleNetwork)
    refused(lambda: load_encoder("mmv_s3dx"), "did you mean 'mmv_s3d'")
    # A file of that name goes before.
    monkeypatch.chdir(folder)
    shutil.copy("image.keras", "mmv_s3d")
    refused(lambda: load_encoder("mmv_s3d"), "is a Keras file; rename it to end in .keras")
    (folder / "mmv_s3d").unlink()


# Options.


@pytest.mark.slow
def test_another_precision(folder):
    encoder = load_encoder(
        folder / "model.keras", dtype="mixed_bfloat16", image_model=folder / "image.keras"
    )
    model: EmbeddingGraph = encoder.network.model
    assert encoder.image_by == "deflated network"
    assert model.video.compute_dtype == "bfloat16"
    computes = {layer.compute_dtype for layer in encoder.network.image_model.network.layers}
    assert computes == {"float32", "bfloat16"}
    assert encoder.embed_text("red square")["vat"].dtype == np.float32
    refused(
        lambda: load_encoder(folder / "image.keras", dtype="float8"),
        "dtype is 'float8'; use one of float32, mixed_bfloat16, bfloat16, mixed_float16",
    )


def test_other_settings(folder):
    settings = {"num_frames": np.int64(8), "square_crop": False}
    encoder = load_encoder(folder / "mil_nce.pth", settings=settings)
    assert (encoder.settings.num_frames, encoder.settings.square_crop) == (8, False)
    for settings, message in (
        ({"fps": 3}, "no setting 'fps'; use one of num_frames"),
        ({"size": "x"}, "size is 'x'; expected a whole number above 0"),
        ({"size": 32.5}, "a whole number above 0"),
        ({"num_frames": True}, "a whole number above 0"),
        ({"frame_rate": -1.0}, "a number above 0"),
        ({"square_crop": 1}, "True or False"),
    ):
        for name in ("image.keras", "tf1"):
            refused(lambda n=name, s=settings: load_encoder(folder / n, settings=s), message)
    for name, message in (("mmv.pkl", "expects 48000 Hz"), ("mil_nce.pth", "has no audio input")):
        refused(lambda n=name: load_encoder(folder / n, settings={"sample_rate": 16_000}), message)


def test_what_does_not_go_together_is_refused(folder):
    small = folder / "mil_nce.pth"
    for options, message in (
        ({"image_model": folder / "mmv.pkl"}, "is not a .keras file"),
        ({"image_model": "/nothing"}, "no deflated network"),
        ({"image_model": folder / "model.keras"}, "holds a FineAndCoarse, not a deflated network"),
        ({"vocabulary": "/nothing.txt"}, "nothing.txt"),
    ):
        refused(lambda options=options: load_encoder(small, **options), message)
    refused(lambda: load_encoder(folder / "model.keras", vocabulary=["red"]), "its own words")
    refused(lambda: load_encoder(folder / "mmv.pkl", vocabulary="/nothing.txt"), "check the path")


# Foreign files.


def write_foreign(folder):
    """Name -> what the message says."""
    Image.new("RGB", (8, 8)).save(folder / "picture.jpg")
    (folder / "notes.txt").write_text("hello")
    (folder / "bracket.txt").write_text("(hello)")
    (folder / "nothing.pkl").write_bytes(b"")
    (folder / "empty").mkdir()
    (folder / "pictures").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "0.jpg")
    with zipfile.ZipFile(folder / "papers.zip", "w") as archive:
        archive.writestr("paper.txt", "hello")
    (folder / "notes.keras").write_text("hello")
    (folder / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    (folder / "arrays.pkl").write_bytes(pickle.dumps({"a": np.ones(3, np.float32)}))
    other = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
    other.save(folder / "other.keras")
    data = (folder / "other.keras").read_bytes()
    (folder / "cut.keras").write_bytes(data[: len(data) // 2])
    return {
        "picture.jpg": "holds no network; give a .keras file, a released pickle or .pth, or the",
        "notes.txt": "holds no network; give a .keras file",
        "bracket.txt": "bracket.txt",
        "nothing.pkl": "holds no network; give a .keras file",
        "empty": "holds no network; give a .keras file",
        "pictures": "holds no network; give a .keras file",
        "papers.zip": "is a zip archive with 0 files NAME/data.pkl; expected one",
        "notes.keras": "is not a .keras file, or is (truncated|cut short)",
        "cut.keras": "is not a .keras file, or is (truncated|cut short)",
        "list.pkl": "a list instead of an array or a dict is not allowed",
        "arrays.pkl": "is not a released MMV checkpoint",
        "other.keras": "holds a Sequential; expected an mmv_tf network",
        "gone.keras": "There is no network at .*; give a path, or one of the names in",
    }


def test_what_is_no_network_is_refused_in_one_line(tmp_path):
    for name, message in write_foreign(tmp_path).items():
        for load in (load_encoder, open_model):
            assert name in refused(lambda load=load, name=name: load(tmp_path / name), message)
    refused(lambda: load_encoder(""), "There is no network at ''")


def test_weights_beside_a_registry_are_read_without_being_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return pathlib.Path.touch, (tmp_path / "touched",)

    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"params": Evil()}))
    refused(lambda: load_encoder(tmp_path / "evil.pkl"))
    assert not (tmp_path / "touched").exists()
    assert "mmv_s3d" in pretrained.registry()
