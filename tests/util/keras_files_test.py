# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Networks' files from strangers; damage by chance is in hostile_files_test.py."""

import io
import json
import tempfile
import zipfile

import h5py
import keras
import pytest
import tensorflow as tf

from mmv_tf import pretrained
from mmv_tf.graphs.metadata import checked_metadata
from mmv_tf.util import keras_files
from mmv_tf.util.keras_files import bounded_by, load_keras_file
from tests import mutations, small_world
from tests.pretrained import checkpoints, mil_nce_checkpoints


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "network.keras"
    keras.utils.set_random_seed(0)
    small_world.tiny_model().save(path)
    return path


def rewritten(path, target, **changes):
    """A copy with members changed, "config" as a dict; a change of None leaves a member out."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            content = source.read(name)
            change = changes.get(name.split(".")[0])
            if name == "config.json" and change is not None:
                content = json.dumps(change(json.loads(content))).encode()
            elif change is not None:
                content = change(content)
            copy.writestr(name, content)
    return target


def with_sentence(**values):
    def change(config):
        config["config"]["text"]["config"] |= values
        return config

    return change


@pytest.mark.parametrize("values", [{"vocabulary_size": 2**31}])
def test_a_giant_network_is_refused_before_it_is_built(whole, tmp_path, values):
    path = rewritten(whole, tmp_path / "a.keras", config=with_sentence(**values))
    with (
        mutations.limited_memory(),
        mutations.survived("giant", mebibytes=256) as said,
    ):
        load_keras_file(path)
    assert "declares a network of more than" in said[0]
    assert str(path) in said[0]


def test_more_variables_than_a_file_has_room_for_are_refused(tmp_path):
    """A pickle's one array may stand in many places: its network has to fit the file too."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"x" * 1000)
    with mutations.survived("giant", mebibytes=256) as said, bounded_by(path):
        keras.layers.Dense(2**20).build((None, 2**12))
    assert "more than 17,180 MB in 1 variables, but has only 0 MB" in said[0]
    with bounded_by(path):
        dense = keras.layers.Dense(2**10)
        dense.build((None, 2**12))
    assert dense.count_params() == 2**22 + 2**10


def test_the_limit_can_be_raised(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"x" * 1000)
    with pytest.raises(ValueError, match="set MMV_TF_EXTRA_NETWORK_MB"), bounded_by(path):
        keras.layers.Dense(2**12).build((None, 2**13))
    monkeypatch.setenv(keras_files.ROOM_VARIABLE, "200")
    with bounded_by(path):
        keras.layers.Dense(2**12).build((None, 2**13))
    monkeypatch.setenv(keras_files.ROOM_VARIABLE, "much")
    with pytest.raises(ValueError, match="'much'; expected a whole number"), bounded_by(path):
        pass


def test_shapes_are_told_without_computing_first_values(monkeypatch):
    """By Keras' own variables; where these can't be found any more, by a graph."""
    seen = []
    monkeypatch.setattr(tf.Graph, "as_default", lambda graph: seen.append(graph) or 1 / 0)
    scratch = tf.Graph()

    def create(next_creator, **kwargs):
        form = keras_files._form_of(kwargs["initial_value"], kwargs.get("dtype"), scratch)
        assert form == ((3, 4), tf.float32)
        return next_creator(**kwargs)

    with tf.variable_creator_scope(create):
        keras.layers.Dense(4, use_bias=False).build((None, 3))
    assert not seen


def test_importers_are_bounded(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    checkpoints.write(path, checkpoints.tiny_tree("s3d"))
    monkeypatch.setattr(keras_files, "_ROOM_FACTOR", 0)
    monkeypatch.setattr(keras_files, "_ROOM_BYTES", 1000)
    with pytest.raises(ValueError, match=r"a\.pkl is not a released .*declares a network"):
        pretrained.import_haiku_checkpoint(path)
    state = mil_nce_checkpoints.small_state()
    mil_nce_checkpoints.write(tmp_path / "a.pth", state)
    with pytest.raises(ValueError, match=r"a\.pth is not .*declares a network"):
        pretrained.import_mil_nce_checkpoint(tmp_path / "a.pth")


def test_weights_elsewhere_are_refused(whole, tmp_path):
    def elsewhere(content):
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            file["x"] = h5py.ExternalLink("/etc/passwd", "/")
        return buffer.getvalue()

    def circle(content):
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            file.create_group("c")["c"] = file["/"]
        return buffer.getvalue()

    def declared(content):
        buffer = io.BytesIO(content)
        with h5py.File(buffer, "r+") as file:
            file.create_dataset("x", (2**20, 2**12), "f4", chunks=True)
        return buffer.getvalue()

    for change, message in (
        (elsewhere, "link to elsewhere"), (circle, "contain themselves"), (declared, "declare")
    ):  # fmt: skip
        path = rewritten(whole, tmp_path / "a.keras", model=change)
        with pytest.raises(ValueError, match=message):
            load_keras_file(path)


def test_a_file_that_lacks_layers_is_refused(whole, tmp_path):
    def without(group):
        def change(content):
            buffer = io.BytesIO(content)
            with h5py.File(buffer, "r+") as file:
                del file[group]
            return buffer.getvalue()

        return change

    with zipfile.ZipFile(whole) as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    groups = []
    weights.visititems(lambda name, item: groups.append(name) if "vars" not in name else None)
    lists = [name for name in groups if name.rsplit("/", 1)[-1] in ("groups", "blocks")]
    assert lists
    for group in (*lists, lists[0] + "/container", groups[0]):
        path = rewritten(whole, tmp_path / "a.keras", model=without(group))
        with pytest.raises(ValueError, match=r"a\.keras is not a network .* or is damaged"):
            load_keras_file(path)


def test_a_bomb_is_refused(whole, tmp_path):
    path = tmp_path / "a.keras"
    path.write_bytes(whole.read_bytes())
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/x", b"\0" * (96 << 20))
    with pytest.raises(ValueError, match="unpacks to over 4 times"):
        load_keras_file(path)


@pytest.mark.parametrize(
    "metadata",
    [
        {"size": 10**9},
        {"size": True},
        {"num_frames": 0},
        {"frame_rate": "5"},
        {"frame_rate": 1e-300},
        {"num_frames": 4096, "size": 4096},
        {"frame_rate": float("nan")},
        {"licence": ["x"]},
        {"other": object()},
        {"other": "x" * 2**21},
    ],
)
def test_metadata_of_wrong_types_are_refused(metadata):
    with pytest.raises(ValueError, match="the model's metadata can't be used"):
        checked_metadata(metadata)


def test_a_program_in_the_metadata_is_refused(whole, tmp_path):
    def change(config):
        config["config"]["metadata"]["size"] = "32]); import os; os.abort(); ([1"
        return config

    path = rewritten(whole, tmp_path / "a.keras", config=change)
    with pytest.raises(ValueError, match=r"a\.keras .*metadata can't be used: size is"):
        load_keras_file(path)


def test_nothing_else_is_called(whole, tmp_path):
    def change(config):
        config["config"]["log_mel"] = {
            "module": "os",
            "class_name": "system",
            "config": f"touch {tmp_path}/called",
            "registered_name": "system",
        }
        return config

    path = rewritten(whole, tmp_path / "a.keras", config=change)
    with pytest.raises(ValueError, match="not a network saved by mmv_tf"):
        load_keras_file(path)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "assets/../../evil", "model.weights.h5/x"])
def test_nothing_stays_behind(whole, tmp_path, monkeypatch, name):
    path = tmp_path / "a.keras"
    path.write_bytes(whole.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"x")
    left = tmp_path / "temporary" / "files"
    left.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(left))
    with pytest.raises(ValueError, match=r"a\.keras .*does not belong in such a file"):
        load_keras_file(path)
    assert not list(left.iterdir())
    assert sorted(child.name for child in tmp_path.rglob("*")) == ["a.keras", "files", "temporary"]
