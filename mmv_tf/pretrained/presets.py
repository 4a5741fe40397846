# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Networks from a configuration or by name."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import ml_collections
import numpy as np

from mmv_tf import backbones, graphs
from mmv_tf.layers import LogMel, WordTokenizer

_GRAPHS = {
    "fac": graphs.FineAndCoarse,
    "shared": graphs.Shared,
    "disjoint": graphs.Disjoint,
}
_VIDEO = {"s3d": backbones.S3D, "tsm_resnet": backbones.TSMResNet}

# The released video backbones (PAPER section 1): the S3D-G weights use the space-to-depth stem.
_RELEASED_VIDEO: dict[str, dict[str, Any]] = {
    "s3d": {"backbone": "s3d", "stem": "space_to_depth"},
    "tsm50": {"backbone": "tsm_resnet", "depth": 50, "width": 1},
    "tsm50x2": {"backbone": "tsm_resnet", "depth": 50, "width": 2},
}
PRESETS = tuple(f"{video}_{graph}" for video in _RELEASED_VIDEO for graph in _GRAPHS)


def preset_config(name: str) -> ml_collections.ConfigDict:
    """The configuration of a preset, to change before `create_model`.

    Args:
      name: "s3d_fac", "tsm50_fac", "tsm50x2_fac" (the released networks) or the same with
        "_shared" or "_disjoint".

    Raises:
      ValueError: for another name.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise ValueError(f"{name!r} is not a preset; did you mean {near!r}? All: {PRESETS}.")
    video, graph = name.rsplit("_", 1)
    return ml_collections.ConfigDict(
        {
            "graph": {"name": graph},
            "video": _RELEASED_VIDEO[video],
            # ResNet-50 and 65,536 words of 300-d word2vec to 2048: PAPER section 1.
            "audio": {"depth": 50},
            "text": {"vocabulary_size": 65_536, "embedding_dim": 300, "dim": 2048},
            "log_mel": {},
            # PAPER section 3: clips of 32 frames at 10 a second, 200 x 200; 48 kHz.
            "metadata": {
                "frame_rate": 10.0,
                "sample_rate": 48_000,
                "num_frames": 32,
                "size": 200,
                "square_crop": True,
            },
            "dtype": "float32",
        }
    )


def create_model(
    config: ml_collections.ConfigDict | str,
    vocabulary: Sequence[str] | None = None,
    word_vectors: np.ndarray | None = None,
) -> graphs.EmbeddingGraph:
    """Builds a network with new weights.

    Args:
      config: a preset's name, or a config with the entries that `preset_config` shows: "graph"
        ({"name": "fac" | "shared" | "disjoint", and arguments of that class}), "video"
        ({"backbone": "s3d" | "tsm_resnet", and its arguments}), "audio" (arguments of `ResNet`),
        "text" (arguments of `Sentence`, and "max_words"), "log_mel" (arguments of `LogMel`),
        "metadata" and "dtype" (a Keras dtype policy). Leave "audio" or "text" out for a network
        without it.
      vocabulary: words of the text tower, most frequent first; gives the network a tokenizer, and
        sets the table's size.
      word_vectors: float [len(vocabulary), dim], one vector a word; they fill the table.

    Raises:
      ValueError: for an unknown name or entry.
    """
    if isinstance(config, str):
        config = preset_config(config)
    known = {"graph", "video", "audio", "text", "log_mel", "metadata", "dtype"}
    unknown = sorted(set(config) - known)
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.0)[0]
        raise ValueError(f"Unknown entry {unknown[0]!r} in the model config; nearest: {near!r}.")
    dtype = config.get("dtype", "float32")

    def arguments(name: str) -> dict[str, Any] | None:
        section = config.get(name)
        return None if section is None else {"dtype": dtype, **dict(section)}

    video = arguments("video")
    audio = arguments("audio")
    text = arguments("text")
    if video is None:
        raise ValueError("The model config has no 'video' section.")
    video_class = _choose(_VIDEO, video.pop("backbone", "s3d"), "video.backbone")
    graph = dict(config.graph)
    graph_class = _choose(_GRAPHS, graph.pop("name"), "graph.name")
    tokenizer = None
    if text is not None:
        max_words = text.pop("max_words", 16)
        if vocabulary is not None:
            tokenizer = WordTokenizer(vocabulary, max_words=max_words)
            text["vocabulary_size"] = tokenizer.vocabulary_size
        if word_vectors is not None:
            text["embedding_dim"] = word_vectors.shape[1]
    model = graph_class(
        video=video_class(**video, name="video"),
        audio=None if audio is None else backbones.ResNet(**audio, channels=1, name="audio"),
        text=None if text is None else backbones.Sentence(**text, name="text"),
        tokenizer=tokenizer,
        log_mel=None if audio is None else LogMel(**dict(config.get("log_mel", {}))),
        # Plain values all the way down: a nested ConfigDict could not be saved.
        metadata=ml_collections.ConfigDict(config.get("metadata", {})).to_dict(),
        dtype=dtype,
        **graph,
    )
    if word_vectors is not None and model.text is not None:
        # Padding and unknown words are zero vectors.
        special = model.text.vocabulary_size - len(word_vectors)
        model.text.set_embeddings(np.pad(word_vectors, ((special, 0), (0, 0))))
    return model


def _choose(table: dict[str, Any], name: str, key: str) -> Any:
    if name not in table:
        raise ValueError(f"{key} is {name!r}; use one of {tuple(table)}.")
    return table[name]
