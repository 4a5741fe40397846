# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

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
        ({"vidoe": {}}, "nearest: 'video'"),
        ({"graph": {"name": "facc"}}, "graph.name is 'facc'"),
        ({"video": {"backbone": "vit"}}, "video.backbone is 'vit'"),
    ],
)
def test_unknown_entries_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        pretrained.create_model(tiny(**change))


def test_graphs_by_name():
    for name, cls in {"shared": graphs.Shared, "disjoint": graphs.Disjoint}.items():
        assert type(pretrained.create_model(tiny(graph={"name": name, "dim": 6}))) is cls
