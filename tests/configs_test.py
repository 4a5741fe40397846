# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Every configuration of a training run builds its network; tiny ones train."""

import itertools
import pathlib

import numpy as np
import pytest

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
    with pytest.raises(ValueError, match=r"one each of s3d or tsm50 or"):
        load_config(f"{PAPER}:{argument}")


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
