# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Modules of TF-Hub, in both formats, and exported networks as networks that embed media."""

import json
import shutil

import keras
import numpy as np
import pytest

from mmv_tf import deflation, publishing
from mmv_tf.inference import GraphNetwork, ModuleNetwork, Settings, is_module
from mmv_tf.pretrained import saved_model_file
from tests import modules, small_world

CLIPS = np.random.default_rng(0).random((3, 2, 8, 8, 3), np.float32)
SOUNDS = np.random.default_rng(1).uniform(-1, 1, (2, 800)).astype(np.float32)
SENTENCES = ["red square", "Grey circle moves", "nothing", "", "circle"]
MMV = {"before_head": 1024, "va": 512, "vat": 256}


@pytest.fixture(scope="module")
def tf1(tmp_path_factory):
    return modules.write_tf1(tmp_path_factory.mktemp("tf1") / "module")


@pytest.fixture(scope="module")
def tf2(tmp_path_factory):
    return modules.write_tf2(tmp_path_factory.mktemp("tf2") / "module")


@pytest.mark.parametrize("module", ["tf1", "tf2"])
def test_a_module_embeds_all_that_it_has_a_signature_for(module, request):
    network = ModuleNetwork(request.getfixturevalue(module))
    assert network.modalities == ("video", "audio", "text")
    assert network.dims("video") == {"before_head": 8, "va": 5, "vat": 4}
    assert network.dims("audio") == {"last_conv": 6, "va": 5, "vat": 4}
    assert network.spaces("text") == ("vat",)
    assert network.common_space("video", "audio") == "va"
    arrays = modules.weights()
    clips = network.run("video", CLIPS)
    colors = CLIPS.mean((1, 2, 3))
    np.testing.assert_allclose(clips["va"], colors @ arrays["video_va"], rtol=1e-5)
    np.testing.assert_allclose(
        clips["before_head"], colors @ arrays["video_before_head"], rtol=1e-5
    )
    sounds = network.run("audio", SOUNDS)
    mean = np.abs(SOUNDS).reshape(2, -1, 4).mean(1)
    assert {name: value.shape for name, value in sounds.items()} == {
        "last_conv": (2, 6), "va": (2, 5), "vat": (2, 4),
    }  # fmt: skip
    np.testing.assert_allclose(sounds["vat"], mean @ arrays["audio_vat"], rtol=1e-4, atol=1e-6)
    rows = arrays["words"][[[2, 4, 0, 0]]].max(1)
    found = network.run("text", SENTENCES)["vat"]
    np.testing.assert_allclose(found[:1], rows @ arrays["text_vat"], rtol=1e-5)
    assert network.known(SENTENCES).tolist() == [True, True, False, False, True]
    with pytest.raises(ValueError, match="video, audio, text, not image"):
        network.run("image", CLIPS[:, 0])
    with pytest.raises(ValueError, match="not log_mel"):
        network.run("log_mel", np.zeros([1, 4, 8, 1], np.float32))


def test_the_published_modules_are_known_by_their_signatures(tmp_path):
    mmv = modules.write_tf1(tmp_path / "mmv", dims=MMV)
    assert ModuleNetwork(mmv).settings == Settings(32, 10.0, 200, True, 48_000)
    changed = ModuleNetwork(mmv, num_frames=16, square_crop=False, sample_rate=16_000)
    assert changed.settings == Settings(16, 10.0, 200, False, 16_000)
    mil_nce = modules.write_tf1(
        tmp_path / "mil_nce",
        dims={"before_head": 1024, "va": 512, "vat": 512},
        renamed={
            "video": {"before_head": "mixed_5c", "va": "video_embedding"},
            "text": {"vat": "text_embedding"},
        },
    )
    network = ModuleNetwork(mil_nce)
    assert network.settings == Settings(32, 10.0, 200, True, None)
    assert network.dims("video") == {"before_head": 1024, "vt": 512}
    assert network.common_space("text", "video") == "vt"
    assert network.run("text", SENTENCES)["vt"].shape == (5, 512)


def test_other_modules_do_not_tell_their_settings(tf1):
    assert ModuleNetwork(tf1).settings == Settings()


@pytest.mark.parametrize("batch", [None, 2])
def test_graphs_of_fixed_sizes_and_without_shapes(batch, tmp_path):
    folder = modules.write_tf1(tmp_path / "module", batch=batch, frames=2, shapes_known=False)
    network = ModuleNetwork(folder)
    assert network.settings.num_frames == 2
    assert network.dims("audio") == {"last_conv": 6, "va": 5, "vat": 4}
    found = network.run("video", CLIPS)
    wanted = CLIPS.mean((1, 2, 3)) @ modules.weights()["video_vat"]
    np.testing.assert_allclose(found["vat"], wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r"num_frames is 3, but .* accepts only 2"):
        ModuleNetwork(folder, num_frames=3)
    with pytest.raises(ValueError, match="Got video of shape"):
        network.run("video", CLIPS[:, :1])


@pytest.mark.slow
def test_an_exported_network_tells_its_settings(tmp_path):
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    model.metadata["square_crop"] = False
    options = publishing.ExportOptions(modalities=("text",), checked=True)
    publishing.export(model, tmp_path, version=3, options=options)
    assert is_module(tmp_path)
    network, graph = ModuleNetwork(tmp_path), GraphNetwork(model)
    assert network.path == tmp_path / "3"
    assert network.settings == Settings(4, 5.0, 32, False, None)
    sentences = ["red square", "nothing here", "the", "", "circle"]
    np.testing.assert_array_equal(network.known(sentences), graph.known(sentences))
    found, wanted = (one.run("text", ["red square", "circle"])["vat"] for one in (network, graph))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"over .* bytes"):
        network.known(["red " * 10_000])
    # A contract that tells no numbers.
    contract = network.path / "assets.extra" / "input_contract.json"
    told = json.loads(contract.read_text())
    told["trained_at"]["size"] = "large"
    contract.write_text(json.dumps(told))
    with pytest.raises(ValueError, match=r"not an input contract \(trained_at.size is .large."):
        ModuleNetwork(tmp_path)


@pytest.mark.slow
def test_an_exported_network_embeds_as_before_it_was_exported(tmp_path):
    keras.utils.set_random_seed(0)
    model = small_world.tiny_model()
    image_model = deflation.deflate_naively(model)
    options = publishing.ExportOptions(checked=True)
    publishing.export(model, tmp_path / "module", image_model, options=options)
    network, graph = ModuleNetwork(tmp_path / "module"), GraphNetwork(model, image_model)
    assert network.settings == graph.settings
    assert network.modalities == ("video", "image", "audio", "text")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 3), np.uint8)
    for kind, inputs in (("video", pixels), ("image", pixels[:, 0]), ("audio", SOUNDS)):
        found, wanted = network.run(kind, inputs), graph.run(kind, inputs)
        assert list(found) == [name for name in wanted if name in found]
        assert network.dims(kind) == {name: value.shape[1] for name, value in found.items()}
        for name, value in found.items():
            np.testing.assert_allclose(value, wanted[name], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"can't embed this audio: .*must be in \[-1, 1\]"):
        network.run("audio", 3 * SOUNDS)


def test_the_fingerprint_is_of_graph_weights_and_words(tf1, tmp_path):
    first = ModuleNetwork(tf1).fingerprint
    copied = tmp_path / "copy"
    shutil.copytree(tf1, copied)
    (copied / "notes.txt").write_text("of no weight")
    assert ModuleNetwork(copied).fingerprint == first
    (copied / "assets" / "words.txt").write_text("\n".join(reversed(modules.WORDS)))
    assert ModuleNetwork(copied).fingerprint != first


def damage_nothing(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def damage_graph(folder):
    (folder / "saved_model.pb").write_bytes(b"\xff" * 100)


def damage_end(folder):
    path = folder / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-100])


def damage_variables(folder):
    shutil.rmtree(folder / "variables")


def damage_assets(folder):
    shutil.rmtree(folder / "assets")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_nothing, "has no saved_model.pb"),
        (damage_graph, "is damaged or not a SavedModel"),
        (damage_end, "is damaged or not a SavedModel"),
        (damage_variables, "can't be loaded"),
        (damage_assets, "lacks its asset 'words.txt'"),
    ],
)
def test_a_damaged_module_is_refused_in_one_line(damage, message, tf1, tmp_path):
    folder = tmp_path / "module"
    shutil.copytree(tf1, folder)
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        ModuleNetwork(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["../variables/variables.index", "/etc/hostname", ""])
def test_assets_lie_inside_of_the_module(name, tf1, tmp_path):
    folder = tmp_path / "module"
    shutil.copytree(tf1, folder)
    saved = saved_model_file.read_saved_model(folder)
    for graph in saved.meta_graphs:
        graph.asset_file_def.add(filename=name)
    (folder / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ValueError, match="outside the folder"):
        ModuleNetwork(folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"renamed": {}}, "it has: none"),
        ({"renamed": {"video": {"va": "logits"}}}, "returns logits; expected at least one of"),
        ({"tags": [("train",)]}, "only a graph for training"),
    ],
)
def test_what_is_no_module_to_embed_with_is_refused(settings, message, tmp_path):
    folder = modules.write_tf1(tmp_path / "module", **settings)
    with pytest.raises(ValueError, match=message):
        ModuleNetwork(folder)
