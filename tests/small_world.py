# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A prepared little film and a tiny network, for tests that need both."""

from __future__ import annotations

import json
import pathlib

import ml_collections
import numpy as np

from mmv_tf import deflation, publishing
from mmv_tf.data import default_config, preparation
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model
from tests import media_samples

WORDS = "red grey square circle moves stands sings falls left right up down".split()
SECONDS = 24.0


def write_narrated_film(
    directory: pathlib.Path, seconds: float = SECONDS
) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """A film, its captions (.vtt) and the same with labels (.tsv)."""
    film = media_samples.write_film(directory / "film.mp4", seconds=seconds, tone_start=0.5)
    cues = [
        (2.0 * n + 0.1, 2.0 * n + 1.9, f"the {WORDS[n % 4]} {WORDS[4 + n % 8]}")
        for n in range(int(seconds) // 2)
    ]
    captions = media_samples.write_vtt(directory / "film.vtt", cues)
    rows = ["start\tend\tsubject\tcaption"]
    rows += [
        f"{start}\t{end}\t{('first', 'second')[n % 2]}\t{text}"
        for n, (start, end, text) in enumerate(cues)
    ]
    labels = directory / "film.tsv"
    labels.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return film, captions, labels


def write_word_vectors(directory: pathlib.Path) -> pathlib.Path:
    """Vectors of the captions' words, as .npy and .txt."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)
    path = directory / "words.npy"
    np.save(path, vectors)
    path.with_suffix(".txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return path


def prepare(directory: pathlib.Path, seconds: float = SECONDS) -> pathlib.Path:
    """Shards of the film: a clip a caption, blocks of 4 s, splits train, test, validation."""
    film, captions, labels = write_narrated_film(directory, seconds)
    settings = preparation.Settings(
        frame_rate=5.0,
        short_side=48,
        min_clip_seconds=1.6,
        block_seconds=4.0,
        split_pattern=("train", "train", "test", "train", "validation"),
        num_shards=2,
    )
    output = directory / "data"
    preparation.prepare(
        preparation.find_sources(film, captions), output, settings, labels=labels, processes=1
    )
    return output


def data_config(directory: pathlib.Path) -> ml_collections.ConfigDict:
    """The reader's settings for `prepare`'s shards and `tiny_model`."""
    config = default_config()
    config.directory = str(directory)
    config.num_frames = 4
    config.frame_rate = 5.0
    config.size = 32
    config.candidates = 2
    config.batch_size = 4
    return config


def model_config() -> ml_collections.ConfigDict:
    """A FAC network of a few thousand weights."""
    return ml_collections.ConfigDict(
        {
            "graph": {"name": "fac", "fine_dim": 16, "coarse_dim": 8, "hidden_dim": 16},
            "video": {"backbone": "s3d", "width": 0.0625, "blocks": (1, 1, 1)},
            "audio": {"depth": 18, "width": 0.0625},
            "text": {"dim": 16, "max_words": 6},
            "metadata": {"num_frames": 4, "frame_rate": 5.0, "size": 32, "square_crop": True},
            "dtype": "float32",
        }
    )


def tiny_model() -> EmbeddingGraph:
    """A new network with a vocabulary."""
    vectors = np.random.default_rng(0).normal(size=(len(WORDS), 6)).astype(np.float32)
    return create_model(model_config(), WORDS, vectors)


def publish(directory: pathlib.Path) -> pathlib.Path:
    """Version 2 of a new network called "tiny", with all signatures, as for serving.

    Its model card shows the result of a made-up evaluation.
    """
    results = directory / "results.json"
    evaluation = {
        "protocol": {"name": "msrvtt/1k-a/v1", "split": "test"},
        "clips": {"scored": {"test": 1000}},
        "retrieval": {"text -> video": {"R@1": 0.093, "median_rank": 38.0}},
        "environment": {"python": "3"},
    }
    results.write_text(json.dumps(evaluation))
    model = tiny_model()
    publishing.export(
        model,
        directory / "served",
        deflation.deflate_naively(model),
        options=publishing.ExportOptions(video_jpeg=True, fold_batch_norms=True, checked=True),
        details=publishing.CardDetails("Tiny", "twelve generated clips", "CC0", (results,)),
        version=2,
        model_name="tiny",
    )
    return directory / "served"
