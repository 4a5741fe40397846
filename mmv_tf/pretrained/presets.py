# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Creates models from a configuration or by name."""

from __future__ import annotations

import difflib
import inspect
import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import keras
import ml_collections
import numpy as np

from mmv_tf import backbones, graphs
from mmv_tf.backbones import VIDEO_BACKBONES
from mmv_tf.graphs import GRAPHS, MODALITIES
from mmv_tf.graphs.precision import DTYPES
from mmv_tf.layers import LogMel, WordTokenizer
from mmv_tf.pretrained.published import registry

logger = logging.getLogger(__name__)

# The released video backbones; the S3D-G weights use the space-to-depth stem
# (deepmind-research, mmv/).
_RELEASED_VIDEO: dict[str, dict[str, Any]] = {
    "s3d": {"backbone": "s3d", "stem": "space_to_depth"},
    "tsm50": {"backbone": "tsm_resnet", "depth": 50, "width": 1},
    "tsm50x2": {"backbone": "tsm_resnet", "depth": 50, "width": 2},
}
# Arguments of a graph that come from other sections of the config.
_MADE_FOR_GRAPH = {*MODALITIES, "tokenizer", "log_mel", "metadata", "name", "trainable", "dtype"}
_SECTIONS = ("graph", "video", "audio", "text", "log_mel", "metadata", "dtype")
PRESETS = tuple(f"{video}_{graph}" for video in _RELEASED_VIDEO for graph in GRAPHS.names())


def preset_config(name: str) -> ml_collections.ConfigDict:
    """Return a preset's configuration, which can be changed before it is passed to `create_model`.

    Args:
      name: "s3d_fac", "tsm50_fac", "tsm50x2_fac" (the released models), or the same with "_shared"
        or "_disjoint".

    Raises:
      ValueError: the name is unknown.
    """
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"{name!r} is not a preset; did you mean {near!r}? The presets are {PRESETS}."
        )
    video, graph = name.rsplit("_", 1)
    return ml_collections.ConfigDict(
        {
            "graph": {"name": graph},
            "video": _RELEASED_VIDEO[video],
            # ResNet-50 and 65,536 words of 300-d word2vec to 2048 (MMV, Alayrac et al., 2020; its
            # released code).
            "audio": {"depth": 50},
            "text": {"vocabulary_size": 65_536, "embedding_dim": 300, "dim": 2048},
            "log_mel": {},
            # Clips of 32 frames at 10 frames per second, 200 x 200; 48 kHz (TF-Hub model card
            # deepmind/mmv).
            "metadata": {
                "input_range": [0.0, 1.0],
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
    """Build a model with random weights, even if given a preset's name.

    For released weights, use `import_haiku_checkpoint(fetch("mmv_s3d"))`; see `registry`.


    Args:
      config: a preset's name, or a config with the settings that `preset_config` returns: "graph"
        ({"name": "fac" | "shared" | "disjoint", and arguments of that class}), "video"
        ({"backbone": "s3d" | "tsm_resnet", and its arguments}), "audio" (arguments of `ResNet`),
        "text" (arguments of `Sentence`, and "max_words"), "log_mel" (arguments of `LogMel`),
        "metadata" and "dtype" (a Keras dtype policy). Omit "audio" or "text" for a model
        without that modality.
      vocabulary: the text backbone's words, most frequent first; gives the model a tokenizer and
        sets the table's size.
      word_vectors: float [len(vocabulary), dim], one vector per word; initializes the table.

    Raises:
      ValueError: a name or setting is unknown (the closest one is suggested) or a value is invalid.
    """
    try:
        model = _create(_read_config(config), vocabulary, word_vectors)
    except TypeError as error:
        raise ValueError(f"The model config has a value of an unexpected type: {error}") from error
    if isinstance(config, str):
        _warn_of_random_weights(config)
    return model


def _warn_of_random_weights(preset: str) -> None:
    released = [entry.name for entry in registry().values() if entry.preset == preset]
    hint = f"; released weights of this architecture: {released[0]}" if released else ""
    logger.warning("create_model(%r): random weights%s.", preset, hint)


def _create(
    config: ml_collections.ConfigDict,
    vocabulary: Sequence[str] | None,
    word_vectors: np.ndarray | None,
) -> graphs.EmbeddingGraph:
    dtype = config.get("dtype", "float32")
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; use one of {DTYPES}.")
    video = dict(config.video)
    graph = dict(config.graph)
    video_class: Any = VIDEO_BACKBONES.get(video.pop("backbone", "s3d"))
    graph_class: Any = GRAPHS.get(graph.pop("name", None))
    _check_entries(video, video_class, "video", {"channels"})
    _check_entries(graph, graph_class, "graph", _MADE_FOR_GRAPH)
    audio, log_mel = _read_audio(config, dtype)
    text, tokenizer = _read_text(config, dtype, vocabulary, word_vectors)
    model = graph_class(
        video=video_class(**video, dtype=dtype, name="video"),
        audio=audio,
        text=text,
        tokenizer=tokenizer,
        log_mel=log_mel,
        metadata=_read_metadata(config),
        dtype=dtype,
        **graph,
    )
    if word_vectors is not None and text is not None:
        # Padding and unknown words are zero vectors.
        special = text.vocabulary_size - len(word_vectors)
        text.set_embeddings(np.pad(word_vectors, ((special, 0), (0, 0))))
    return model


def _read_config(config: Any) -> ml_collections.ConfigDict:
    if isinstance(config, str):
        return preset_config(config)
    if not isinstance(config, Mapping | ml_collections.ConfigDict):
        raise ValueError(
            f"config is a {type(config).__name__}; expected a ConfigDict, or one of {PRESETS}."
        )
    config = ml_collections.ConfigDict(config)
    _check_names(config, _SECTIONS, "the model config")
    for name in ("graph", "video"):
        if config.get(name) is None:
            raise ValueError(f"The model config has no {name!r} section.")
    for name in _SECTIONS[:-1]:
        if not isinstance(config.get(name), ml_collections.ConfigDict | None):
            raise ValueError(
                f"{name!r} of the model config is {config[name]!r}; expected a section of settings."
            )
    return config


def _read_audio(
    config: ml_collections.ConfigDict, dtype: str
) -> tuple[backbones.ResNet | None, LogMel | None]:
    if config.get("audio") is None:
        return None, None
    audio, log_mel = dict(config.audio), dict(config.get("log_mel") or {})
    _check_entries(audio, backbones.ResNet, "audio", {"channels", "shift_fraction"})
    _check_entries(log_mel, LogMel, "log_mel")
    return backbones.ResNet(**audio, channels=1, dtype=dtype, name="audio"), LogMel(**log_mel)


def _read_text(
    config: ml_collections.ConfigDict,
    dtype: str,
    vocabulary: Sequence[str] | None,
    word_vectors: np.ndarray | None,
) -> tuple[backbones.Sentence | None, WordTokenizer | None]:
    if config.get("text") is None:
        return None, None
    text = dict(config.text)
    max_words = text.pop("max_words", 16)
    _check_entries(text, backbones.Sentence, "text")
    tokenizer = None
    if vocabulary is not None:
        tokenizer = WordTokenizer(vocabulary, max_words=max_words)
        text["vocabulary_size"] = tokenizer.vocabulary_size
    if word_vectors is not None:
        words = None if vocabulary is None else len(vocabulary)
        if np.ndim(word_vectors) != 2 or len(word_vectors) != words:
            raise ValueError(
                f"word_vectors has shape {np.shape(word_vectors)}; expected one row for each "
                f"of the {words or 0} words in the vocabulary."
            )
        text["embedding_dim"] = word_vectors.shape[1]
    return backbones.Sentence(**text, dtype=dtype, name="text"), tokenizer


def _read_metadata(config: ml_collections.ConfigDict) -> dict[str, Any]:
    # Plain values at every depth: a nested ConfigDict could not be saved.
    metadata = ml_collections.ConfigDict(config.get("metadata") or {}).to_dict()
    try:
        json.dumps(metadata)
    except TypeError as error:
        raise ValueError(f"metadata must hold plain values, as in JSON: {error}.") from error
    return metadata


def _check_entries(
    section: dict[str, Any], cls: type, name: str, withheld: Collection[str] = ()
) -> None:
    """Compare a section's settings with the arguments of the class and its bases."""
    arguments: set[str] = set()
    for base in cls.__mro__:
        if issubclass(base, keras.layers.Layer) and not base.__module__.startswith("keras."):
            arguments.update(inspect.signature(base.__init__).parameters)  # type: ignore[misc]
    known = arguments - {"self", "args", "kwargs"} - set(withheld)
    _check_names(section, sorted(known), f"section {name!r} of the model config")


def _check_names(entries: Iterable[str], known: Sequence[str], where: str) -> None:
    for entry in entries:
        if entry not in known:
            near = difflib.get_close_matches(entry, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"Unknown setting {entry!r} in {where}; did you mean {near!r}?")
