# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The published lists, whole, drive their protocols on generated media of the same names."""

import collections
import os
import re
import shutil

import keras
import numpy as np
import pytest

from mmv_tf.evaluation import Options, changed, run_benchmark
from mmv_tf.pretrained import create_model
from tests import media_samples, small_world
from tests.evaluation import small_benchmarks
from tests.evaluation.listing_test import PUBLISHED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not at hand"),
]
KINDS = 7


def make_media(benchmark, data, films):
    """A film of one of a few kinds under every name that the list has."""
    items = [item for split in benchmark.splits
             for item in benchmark.read_list(PUBLISHED, None, split).items]  # fmt: skip
    for number, (name, item) in enumerate({item.file: item for item in items}.items()):
        path = data / (name if name.endswith(".avi") else f"{name}.mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Classes look different.
        kind = item.labels[0] if item.labels else number
        os.link(films[kind % len(films)], path)
    return items


def films(directory, seconds, rate):
    directory.mkdir()
    return [
        media_samples.write_film(
            directory / f"{kind}.mp4",
            seconds,
            rate + kind,
            tone_start=0.1 * (kind + 1),
            audio_rate=8000,
            channels=1,
        )
        # Long ones differ in themselves, and take long to write.
        for kind in range(KINDS if seconds < 10 else 1)
    ]


def network(sentences):
    """A tiny one that knows the sentences' words."""
    counts = collections.Counter(re.findall(r"[a-z]+", " ".join(sentences).lower()))
    words = [word for word, _ in counts.most_common()]
    vectors = np.random.default_rng(0).normal(size=(len(words), 6)).astype(np.float32)
    keras.utils.set_random_seed(0)
    config = small_world.model_config()
    config.graph.hidden_dim = 64  # of 16, all may be off
    return create_model(config, words, vectors)


@pytest.mark.parametrize(
    ("name", "table", "seconds", "rate", "listed"),
    [
        ("msrvtt_retrieval", "msrvtt_test.csv", 1.2, 8, 1000),
        ("youcook2_retrieval", "validation_youcook.csv", 720.0, 1, 3350),
        ("hmdb51_linear", "hmdb51.csv", 1.2, 8, 3 * 1530),
    ],
)
def test_a_published_list_drives_its_protocol(tmp_path, name, table, seconds, rate, listed):
    benchmark = changed(
        small_benchmarks.small(name), ["test_views.windows=1", "test_views.num_frames=2"]
    )
    if benchmark.train_views is not None:
        benchmark = changed(
            benchmark,
            ["splits=('1', '2', '3')", "train_views.windows=1", "train_views.num_frames=2"],
        )
    data = tmp_path / "data"
    items = make_media(benchmark, data, films(tmp_path / "films", seconds, rate))
    shutil.copy(PUBLISHED / table, data)
    model = network([item.text for item in items if item.text] or small_world.WORDS)
    options = Options(tmp_path / "features", C=1e-3, batch_size=64)
    results = run_benchmark(benchmark, model, data, options).results
    assert results["counts"]["listed"]["test"] == results["counts"]["scored"]["test"] == listed
    if name == "hmdb51_linear":
        # Films tell a class of 51 from those of six other kinds only.
        assert 1 / 51 < results["metrics"]["top_1"]["value"] <= KINDS / 51 + 0.02
    else:
        assert len(results["metrics"]) == 6
        assert results["sentences_without_known_words"] == 0
