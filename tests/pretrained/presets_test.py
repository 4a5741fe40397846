# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import copy

import keras
import ml_collections
import numpy as np
import pytest

from mmv_tf import graphs, pretrained


def tiny(**changes):
    config = {
        "graph": {"name": "fac", "fine_dim": 6, "coarse_dim": 4, "hidden_dim": 5},
        "video": {"backbone": "tsm_resnet", "depth": 18, "width": 0.0625},
        "audio": {"depth": 18, "width": 0.0625},
        "text": {"vocabulary_size": 7, "embedding_dim": 3, "dim": 8, "max_words": 4},
        "metadata": {"frame_rate": 10.0, "nested": {"a": 1}},
    }
    return ml_collections.ConfigDict({**config, **changes})


@pytest.mark.parametrize("name", pretrained.PRESETS)
def test_every_preset_has_a_config(name):
    config = pretrained.preset_config(name)
    assert name.endswith(config.graph.name)
    assert config.metadata.frame_rate == 10.0


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.PRESETS)
def test_every_preset_builds(name):
    assert pretrained.create_model(name).count_params() > 50e6


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 's3d_fac'"):
        pretrained.create_model("s3d_fca")


def test_metadata_is_plain_and_the_model_can_be_saved(tmp_path):
    model = pretrained.create_model(tiny())
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.metadata == {"frame_rate": 10.0, "nested": {"a": 1}}


def test_without_a_section_there_is_no_tower():
    config = tiny()
    del config.text
    assert pretrained.create_model(config).modalities == ("video", "audio")


def test_vocabulary_and_vectors_fill_the_text_tower():
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = pretrained.create_model(tiny(), ["a1", "b1", "c1"], vectors)
    table = model.text.embedding.embeddings.numpy()
    # Ids 0 and 1 are padding and the unknown word.
    np.testing.assert_array_equal(table, np.pad(vectors, ((2, 0), (0, 0))))
    np.testing.assert_array_equal(model.tokenizer(["b1 zz c1"]), [[3, 4, 0, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vidoe": {}}, "did you mean 'video'"),
        ({"video": None}, "has no 'video' section"),
        ({"video": "s3d"}, "'video' of the model config is 's3d'"),
        ({"audio": 50}, "'audio' of the model config is 50"),
        ({"graph": {"name": "facc"}}, "graph.name is 'facc'"),
        ({"graph": {}}, "graph.name is None"),
        ({"graph": {"name": "fac", "fine_dims": 3}}, "'graph' .* did you mean 'fine_dim'"),
        ({"graph": {"name": "fac", "coarse_dim": 0}}, "dim is 0; expected a positive integer"),
        ({"graph": {"name": "fac", "variant": 3}}, "variant is 3"),
        ({"video": {"backbone": "vit"}}, "video.backbone is 'vit'"),
        ({"video": {"backbone": ["s3d"]}}, "video.backbone is"),
        ({"video": {"widht": 1}}, "'widht' in section 'video' .* did you mean 'width'"),
        ({"video": {"width": "big"}}, "width is 'big'; expected a positive number"),
        ({"video": {"width": -1}}, "width is -1"),
        ({"video": {"width": float("nan")}}, "width is nan"),
        ({"video": {"blocks": 3}}, "unexpected type"),
        ({"video": {"bfloat16_from": "Mixed_9"}}, "bfloat16_from is 'Mixed_9'"),
        ({"audio": {"depth": 51}}, "depth is 51"),
        ({"audio": {"channels": 2}}, "Unknown setting 'channels'"),
        ({"text": {"dim": 2.5}}, "dim is 2.5; expected a positive integer"),
        ({"text": {"max_words": 0}}, "max_words is 0"),
        ({"log_mel": {"step": 0}}, "step is 0"),
        ({"log_mel": {"mels": 0}}, "did you mean 'mel_bins'"),
        ({"dtype": "bf16"}, "dtype is 'bf16'; use one of"),
        ({"metadata": {"a": np.ones(2)}}, "metadata must hold plain values"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        pretrained.create_model(tiny(**change), ["a1"])


@pytest.mark.parametrize("config", [None, 3, ["s3d_fac"], "", b"s3d_fac"])
def test_what_is_no_config_is_refused(config):
    with pytest.raises(ValueError, match=r"expected a ConfigDict|is not a preset"):
        pretrained.create_model(config)


def test_a_plain_dict_is_a_config_and_stays_as_it_is():
    config = tiny().to_dict()
    before = copy.deepcopy(config)
    assert pretrained.create_model(config).modalities == ("video", "audio", "text")
    assert config == before


@pytest.mark.parametrize(
    ("words", "vectors", "message"),
    [
        ([], None, "not a list of words"),
        ("abc", None, "not a list of words"),
        (["a", 3], None, "not a list of words"),
        (["a", "a"], None, "more than once"),
        (["a", "b"], np.ones([3, 2]), r"shape \(3, 2\); expected one row for each of the 2"),
        (["a"], np.ones(3), r"shape \(3,\)"),
        (["a"], np.full([1, 2], np.nan), "not finite"),
        (None, np.ones([3, 2]), "expected one row for each of the 0"),
    ],
)
def test_words_and_vectors_that_do_not_fit_are_refused(words, vectors, message):
    with pytest.raises(ValueError, match=message):
        pretrained.create_model(tiny(), words, vectors)


def test_graphs_by_name():
    for name, cls in {"shared": graphs.Shared, "disjoint": graphs.Disjoint}.items():
        assert type(pretrained.create_model(tiny(graph={"name": name, "dim": 6}))) is cls
