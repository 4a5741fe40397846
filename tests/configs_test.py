# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every configuration of a training run builds its network; tiny ones train."""

import itertools
import os
import pathlib

import numpy as np
import pytest

from mmv_tf import training
from mmv_tf.data.records.manifests import read_manifest
from mmv_tf.losses import PAIRS
from mmv_tf.pretrained import create_model
from mmv_tf.training import experiment
from mmv_tf.util.configuration import load_config
from tests import small_world

CONFIGS = pathlib.Path(__file__).parent.parent / "configs"
PAPER = f"{CONFIGS / 'howto100m_audioset.py'}"
ARGUMENTS = [
    *(
        f"{video},{graph}"
        for video, graph in itertools.product(
            ("s3d", "tsm50", "tsm50x2"), ("fac", "shared", "disjoint")
        )
    ),
    *(f"s3d,{modalities},ht,16f" for modalities in ("va", "vt", "vat")),
]


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_the_papers_configs_build_a_network_that_has_the_pairs(argument):
    small = load_config(f"{PAPER}:{argument},runlocal")
    model = create_model(small.model, vocabulary=small_world.WORDS)
    pairs = [pair for pair, weight in small.training.weights.items() if weight]
    assert pairs == {"va": ["va"], "vt": ["vt"]}.get(argument.split(",")[1], ["va", "vt"])
    for pair in pairs:
        assert model.common_space(*PAIRS[pair])


def test_the_papers_numbers():
    config = load_config(f"{PAPER}:tsm50x2")
    assert config.model.video.width == 2
    assert config.model.text.vocabulary_size == 65_536
    assert config.data.batch_size == 4096
    assert config.optimizer.learning_rate == 2e-3
    assert [entry["directory"] for entry in config.data.mixture] == [
        "data/howto100m",
        "data/audioset",
    ]
    assert [entry["split"] for entry in config.data.mixture] == [
        "train",
        "unbalanced_train+balanced_train",
    ]
    assert config.data.short_clips == "loop"
    alone = load_config(f"{PAPER}:s3d,vat,ht,16f")
    assert dict(alone.training.weights) == {"va": 1.0, "vt": 10.0}
    assert alone.data.num_frames == 16


@pytest.mark.parametrize("argument", ["s3dd", "s3d,tsm50", "fac,fac"])
def test_wrong_words_are_refused(argument):
    with pytest.raises(ValueError, match=r"each of these groups: s3d or tsm50 or"):
        load_config(f"{PAPER}:{argument}")


def own_videos(argument):
    return load_config(f"{CONFIGS / 'own_videos.py'}:{argument}")


def test_own_videos_are_sized_by_their_shards(prepared, tmp_path, monkeypatch):
    small = own_videos(f"data={prepared}")
    clips = read_manifest(prepared)["splits"]["train"]["num_examples"]
    assert small.data.directory == str(prepared)
    assert small.data.batch_size <= max(4, clips // 2)
    assert 0 <= small.training.steps * small.data.batch_size - 130 * clips < small.data.batch_size
    assert "text" in small.model, "they have captions"
    assert small.training.weights.vt == 1.0
    assert small.data.split == "train"
    columns = [own_videos(f"{amount},va") for amount in ("1h", "10h", "100h")]
    assert all("text" not in column.model for column in columns)
    for name in ("steps", "weights"):
        assert len({str(column.training[name]) for column in columns}) == (3, 1)[name == "weights"]
    assert columns[0].model.video.width < columns[2].model.video.width
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 1 << 19))
    tight = own_videos("100h,va").training.gradient_cache
    assert tight * (1 << 30) >= 256 * 180e6 > tight * (1 << 29), "the pieces fit into half of 2 GB"


@pytest.mark.slow
def test_own_videos_train_from_nothing_without_word_vectors(prepared, tmp_path):
    config = own_videos(f"data={prepared},va,runlocal")
    metrics = experiment.run(config, tmp_path / "run")
    assert np.isfinite(metrics["loss/va"])
    assert "loss/vt" not in metrics


@pytest.mark.slow
def test_own_videos_train_from_weights(prepared, tmp_path):
    source = tmp_path / "source.keras"
    training.save_model(small_world.tiny_model(), source)
    config = own_videos(f"data={prepared},weights,vat,runlocal").unlock()
    config.init_from = str(source)
    experiment.run(config.lock(), tmp_path / "run")
    before, after = training.load_model(source), training.load_model(tmp_path / "run")
    for name in ("video", "audio"):  # frozen for an hour of video or less
        for old, new in zip(
            before.backbone(name).get_weights(), after.backbone(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(old, new)
    assert after.metadata["num_frames"] == 4


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("data=nowhere", "nowhere"),
        ("2h", "each of these groups: random or weights"),
        ("data=a,data=b", "accepts one data=DIR; got 2"),
    ],
)
def test_wrong_words_for_own_videos_are_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        own_videos(argument)


@pytest.mark.slow
@pytest.mark.parametrize(
    "argument",
    [
        "s3d,vt,ht",
        "s3d,fac",
        "s3d,shared,16f",
        "tsm50,fac",
        "tsm50x2,disjoint",
        "s3d,va,ht",
    ],
)
def test_tiny_ones_train(argument, prepared, tmp_path):
    config = load_config(f"{PAPER}:{argument},runlocal").unlock()
    config.word_vectors = str(small_world.write_word_vectors(tmp_path))
    config.data.frame_rate = 5.0
    config.data.mixture = tuple(
        {**entry, "directory": str(prepared), "split": "train"} for entry in config.data.mixture
    )
    metrics = experiment.run(config.lock(), tmp_path / "run")
    assert np.isfinite(metrics["loss"])
    assert (tmp_path / "run" / "model.keras").exists()
