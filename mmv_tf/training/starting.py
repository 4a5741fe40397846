# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The start of a run: a new model, or one with the weights of another (the setting `init_from`).

From that model, a run takes complete parts, backbones and heads, and with them the tokenizer and
the log-mel settings. If the model section has no video backbone, the run takes the architecture
too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import ml_collections
import numpy as np

from mmv_tf.data import METADATA_KEYS
from mmv_tf.graphs import GRAPHS, EmbeddingGraph
from mmv_tf.graphs.precision import in_precision
from mmv_tf.layers import WordTokenizer
from mmv_tf.losses import PAIRS
from mmv_tf.pretrained import create_model, load_word_vectors
from mmv_tf.training import freezing
from mmv_tf.training.opening import open_weights
from mmv_tf.training.run_folder import Start
from mmv_tf.util.storage.urls import is_remote
from mmv_tf.util.storage.workspace import brought

_SECTIONS = ("audio", "text", "log_mel")
logger = logging.getLogger(__name__)


def make(
    config: ml_collections.ConfigDict, source: EmbeddingGraph | None
) -> tuple[EmbeddingGraph, Start]:
    """Return a run's model at step 0, and the origin of its parts.

    Args:
      config: the run's configuration; see `configs/`.
      source: see `open_source`.

    Raises:
      ValueError: the model can't be created, or the weights of `init_from` don't match it.
    """
    if source is None:
        model = create_model(with_metadata(config), *_words(config))
        return model, Start(new=tuple(model.parts()))
    model = _like(source, config) if _takes_all(config) else _described(source, config)
    taken, new = _take_weights(model, source, config)
    dtype = config.model.get("dtype")
    if dtype is not None and _takes_all(config):
        model = in_precision(model, dtype)
    pairs = [pair for pair in PAIRS if config.training.weights.get(pair, 0.0) > 0]
    _check_modalities(model, pairs, config.init_from)
    unused = [name for name in freezing.unused_parts(model, pairs) if name in taken]
    _log(config.init_from, taken, new, unused)
    return model, Start(os.fspath(config.init_from), tuple(taken), tuple(new), tuple(unused))


def _take_weights(
    model: EmbeddingGraph, source: EmbeddingGraph, config: ml_collections.ConfigDict
) -> tuple[list[str], list[str]]:
    """Set the weights of a model's parts that match; return their names and those of the others.

    If the source has another kind of graph, heads that don't match are new even without
    `init_partial`.
    """
    taken, new, problems = [], [], []
    theirs = source.parts()
    for name, part in model.parts().items():
        problem = _misfit(theirs.get(name), part)
        if problem is None:
            part.set_weights(theirs[name].get_weights())
            taken.append(name)
            _warn_of_settings(name, theirs[name], part)
            continue
        new.append(name)
        if name in model.modalities or type(model) is type(source):
            problems.append(f"{name}: {problem}")
    if problems and not config.get("init_partial", False):
        raise ValueError(
            f"The weights of {config.init_from} don't match the model of this run: "
            f"{'; '.join(problems)}. Change the model section to match, or set init_partial=True "
            "to start these parts with random weights."
        )
    if not taken:
        raise ValueError(f"Nothing in {config.init_from} matches the model of this run.")
    return taken, new


def freezing_of(
    model: EmbeddingGraph, training: ml_collections.ConfigDict, start: Start
) -> freezing.Freezing:
    """Return what a run changes in its model.

    Raises:
      ValueError: as for `freezing.Freezing`.
    """
    return freezing.Freezing(
        model,
        training.get("freeze", ()),
        dict(training.get("learning_rates", {})),
        training.get("frozen_batch_norm", False),
        fresh=start.new,
        unused=start.unused,
    )


def open_source(config: ml_collections.ConfigDict) -> EmbeddingGraph | None:
    """Return the model that `init_from` names, or None.

    Raises:
      ValueError: there is no such model, or it can't be trained.
    """
    name = config.get("init_from", "")
    if not name:
        return None
    model = open_weights(name, config.get("init_vocabulary", "") or None)
    if not isinstance(model, EmbeddingGraph):
        raise ValueError(
            f"init_from is {name}, which holds a {type(model).__name__}; expected a model of video "
            "and other modalities."
        )
    return model


def with_data_settings(
    config: ml_collections.ConfigDict, metadata: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Return a configuration whose clips are like those that a model was trained on.

    Args:
      config: the run's configuration.
      metadata: metadata of the model in `init_from`.

    Raises:
      ValueError: the metadata lack a setting.
    """
    missing = [key for key in METADATA_KEYS if key not in metadata]
    if missing:
        raise ValueError(
            "data.num_frames is 0, so the clips' settings come from init_from, but "
            f"{config.init_from or 'nothing'} does not specify {', '.join(missing)}; set "
            "data.num_frames, data.frame_rate, data.size and data.square_crop."
        )
    config = ml_collections.ConfigDict(config.to_dict())
    for key in METADATA_KEYS:
        config.data[key] = type(config.data[key])(metadata[key])
    return config.lock()


def with_metadata(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Return the model's settings with those of the data, which evaluation and export read."""
    model = ml_collections.ConfigDict(config.model.to_dict())
    model.metadata = _metadata(config, {})
    return model


def _metadata(config: ml_collections.ConfigDict, inherited: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **inherited,
        **config.model.get("metadata", ml_collections.ConfigDict()).to_dict(),
        **{key: config.data[key] for key in METADATA_KEYS},
        "input_range": [0.0, 1.0],
    }


def _words(config: ml_collections.ConfigDict) -> tuple[Any, Any]:
    """Return the words and vectors from the setting `word_vectors`, or None and None."""
    if not config.word_vectors:
        return None, None
    words, vectors = load_word_vectors(_word_file(config.word_vectors))
    if config.unit_word_vectors:
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    return words, vectors


def _word_file(name: str) -> str:
    """Return the path to word vectors, which are fetched if they are in a store."""
    if is_remote(name) and name.endswith(".npy"):
        brought(f"{name.removesuffix('.npy')}.txt")  # their words
    return brought(name)


def _takes_all(config: ml_collections.ConfigDict) -> bool:
    """Return whether the architecture also comes from the source."""
    return "video" not in config.model


def _like(source: EmbeddingGraph, config: ml_collections.ConfigDict) -> EmbeddingGraph:
    """Return a model with the source's backbones, in the configuration's graph."""
    given = [name for name in _SECTIONS if config.model.get(name) is not None]
    if given:
        raise ValueError(
            f"model.{given[0]} is set without model.video: with init_from, describe all backbones, "
            "or none, to take those of its model."
        )
    _refuse_words(config, source)
    changes = ml_collections.ConfigDict(config.model.get("graph") or {}).to_dict()
    name = changes.pop("name", None)
    graph = type(source) if name is None else GRAPHS.get(name)
    same = graph is type(source)
    own = source.get_config()
    inherited = own if same else {key: own[key] for key in ("check_inputs", "dtype")}
    layers = {
        modality: type(layer).from_config(layer.get_config())
        for modality in source.modalities
        for layer in [source.backbone(modality)]
    }
    arguments = {**inherited, **dict.fromkeys(("video", "audio", "text")), **layers, **changes}
    arguments |= {"tokenizer": source.tokenizer, "log_mel": source.log_mel}
    arguments["metadata"] = _metadata(config, source.metadata)
    try:
        return graph.from_config(arguments)
    except TypeError as error:
        raise ValueError(
            f"The section model.graph does not match {graph.__name__}: {error}."
        ) from error


def _described(source: EmbeddingGraph, config: ml_collections.ConfigDict) -> EmbeddingGraph:
    """Return the configuration's model, with the source's tokenizer and log-mel."""
    section = with_metadata(config)
    tokenizer: WordTokenizer | None = None
    words: tuple[Any, Any] = (None, None)
    if section.get("text") is not None and source.text is not None and not config.word_vectors:
        tokenizer = source.tokenizer
        # The word vectors come with the words.
        section.text.vocabulary_size = source.text.vocabulary_size
        section.text.embedding_dim = source.text.embedding_dim
    else:
        _refuse_words(config, source)
        words = _words(config)
    if section.get("audio") is not None and source.log_mel is not None:
        own = source.log_mel.get_config()
        for key, value in dict(section.get("log_mel") or {}).items():
            if own.get(key) != value:
                raise ValueError(
                    f"model.log_mel.{key} is {value!r}, but the log-mel of {config.init_from} has "
                    f"{own.get(key)!r}, which its audio weights need; leave {key} out."
                )
        section.log_mel = {}
    model = create_model(section, *words)
    kept: dict[str, Any] = {}
    if tokenizer is not None:
        kept["tokenizer"] = tokenizer
    if model.audio is not None and source.log_mel is not None:
        kept["log_mel"] = source.log_mel
    return _with_layers(model, kept) if kept else model


def _with_layers(model: EmbeddingGraph, layers: Mapping[str, keras.layers.Layer]) -> EmbeddingGraph:
    """Return a model with other preprocessing layers, which Keras adds only at construction."""
    other = type(model).from_config({**model.get_config(), **layers})
    other.set_weights(model.get_weights())
    return other


def _refuse_words(config: ml_collections.ConfigDict, source: EmbeddingGraph) -> None:
    if config.word_vectors and source.text is not None and not config.get("init_partial", False):
        raise ValueError(
            f"word_vectors is {config.word_vectors}, but the words come with {config.init_from}; "
            "leave word_vectors empty, or set init_partial=True for a new text backbone."
        )


def _check_modalities(model: EmbeddingGraph, pairs: Sequence[str], source: Any) -> None:
    """Check that a model has the backbones of the pairs, and words where they are needed."""
    for pair in pairs:
        for modality in PAIRS[pair]:
            if modality not in model.modalities:
                raise ValueError(
                    f"training.weights.{pair} is above 0, but {source} has no {modality} backbone; "
                    f"set the weight to 0, or describe all backbones in the model section, with "
                    "init_partial=True."
                )
            if modality == "text":
                model.sentence_tokenizer()


def _misfit(theirs: keras.layers.Layer | None, part: keras.layers.Layer) -> str | None:
    """Return why a part can't have the weights of another, or None if it can."""
    if theirs is None:
        return "missing from the model in init_from"
    found, wanted = _shapes(theirs), _shapes(part)
    if found == wanted:
        return None
    if len(found) != len(wanted):
        return f"{len(found)} weights in init_from, but {len(wanted)} in this run"
    pairs = zip(found, wanted, strict=True)
    first = next((there, here) for there, here in pairs if there != here)
    (name, there), (other, here) = first
    same = f"{name} has shape {there} in init_from, but {here} in this run"
    return same if name == other else f"{name} {there} in init_from is {other} {here} in this run"


def _shapes(part: keras.layers.Layer) -> list[tuple[str, tuple[int, ...]]]:
    return [(variable.name, tuple(variable.shape)) for variable in part.variables]


def _warn_of_settings(name: str, theirs: keras.layers.Layer, part: keras.layers.Layer) -> None:
    """Warn if a part computes something different with the same weights."""
    ignored = ("name", "dtype", "trainable", "bfloat16_from")
    before, now = theirs.get_config(), part.get_config()
    changed = [
        f"{key} is {before.get(key)!r} in init_from, but {value!r} in this run"
        for key, value in now.items()
        if key not in ignored and before.get(key) != value
    ]
    if changed:
        logger.warning(
            "The shapes of %s match, but its settings differ: %s.", name, "; ".join(changed)
        )


def _log(source: Any, taken: Sequence[str], new: Sequence[str], unused: Sequence[str]) -> None:
    logger.info("Weights from %s: %s.", source, ", ".join(taken))
    if new:
        logger.info("Random weights: %s.", ", ".join(new))
    if unused:
        logger.info("Not trained, because no pair compares them: %s.", ", ".join(unused))
