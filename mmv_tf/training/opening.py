# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds a model's file by path or published name, and loads it as a Keras model."""

from __future__ import annotations

import os
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import keras

from mmv_tf import pretrained
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained.saved_model_file import find_saved_model
from mmv_tf.training import checkpoints
from mmv_tf.training.run_folder import MODEL_FILE, initial_file, load_model
from mmv_tf.util.storage.urls import is_remote
from mmv_tf.util.storage.workspace import brought

Path = str | os.PathLike[str]
_CLASSIFIER = "ClassifierNetwork"  # class of `mmv_tf.classification`
# Suffixes of word-vector files; other files are lists of words.
_VECTORS = (".bin", ".gz", ".vec")
# First bytes of pickles (protocols 2 to 5, 0 and 1) and of zip archives.
_RELEASED = (b"\x80", b"(", b"}", b"P")
# In the folder of a quantized backbone; see `inference.quantization`.
QUANTIZED_FILE = "quantized.json"
_EXPECTED = (
    "a .keras file, a released pickle or .pth, or the folder of a training run or of a SavedModel"
)


def open_weights(source: Path, vocabulary: Path | Sequence[str] | None = None) -> keras.Model:
    """Open a local model of any class; see `mmv_tf.load_encoder`.

    Raises:
      ValueError: as for `load_encoder`, or the source is a SavedModel, which has no Keras model.
    """
    path = find_network(source)
    if find_saved_model(path) is not None:
        raise ValueError(
            f"{path} is a SavedModel, which can embed but not be changed; give the network that it "
            "was exported from: a .keras file, a training run or a released checkpoint."
        )
    if path.is_file() and not _is_keras_file(path):
        if isinstance(vocabulary, str) and is_remote(vocabulary):
            vocabulary = brought(vocabulary)
        return _imported(path, vocabulary)
    _check_place(path)
    if vocabulary is not None:
        raise ValueError(f"{path} holds its own words; pass a vocabulary only with released files.")
    try:
        model = load_model(path)
    except ValueError as error:
        # A program that does not use classifiers does not know the class.
        if f"'{_CLASSIFIER}'" in str(error):
            raise _classifier_given(path) from error
        raise
    if type(model).__name__ == _CLASSIFIER:
        raise _classifier_given(path)
    return model


def _classifier_given(path: pathlib.Path) -> ValueError:
    return ValueError(
        f"{path} holds a classifier, which has labels and no embeddings; use it with mmv classify "
        "(predict, evaluate, export), or give the network that it was made from."
    )


def find_network(source: Path) -> pathlib.Path:
    """Return the file or folder that a path, a URL or a published name stands for.

    Raises:
      ValueError: the path does not exist and is not a published name.
    """
    path = pretrained.local_path(brought(source, model=True) if is_remote(source) else source)
    if not path.exists() or not os.fspath(source):
        raise ValueError(
            f"There is no network at {os.fspath(source)!r}; give a path, or one of the names in "
            "mmv_tf.pretrained.registry()."
        )
    return path


def _imported(path: pathlib.Path, vocabulary: Any) -> EmbeddingGraph:
    """Return the model from a released file."""
    with open(path, "rb") as file:
        begin = file.read(1)
    if begin not in _RELEASED:
        raise ValueError(f"{path} holds no network; give {_EXPECTED}.")
    if isinstance(vocabulary, str | os.PathLike) and not os.path.exists(vocabulary):
        raise ValueError(f"There is no vocabulary at {os.fspath(vocabulary)}; check the path.")
    if pretrained.is_torch_file(path):
        return pretrained.import_mil_nce_checkpoint(path, dictionary=vocabulary)
    if isinstance(vocabulary, str | os.PathLike) and os.fspath(vocabulary).endswith(_VECTORS):
        return pretrained.import_haiku_checkpoint(path, word_vectors=vocabulary)
    return pretrained.import_haiku_checkpoint(path, vocabulary=vocabulary)


def _is_keras_file(path: pathlib.Path) -> bool:
    """Return whether Keras can read a file, judging by its contents, then by its name."""
    if path.suffix == ".keras":
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return "config.json" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _check_place(path: pathlib.Path) -> None:
    """Reject anything except a Keras file or the folder of a run or a checkpoint."""
    if path.is_file():
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is not a .keras file, or is truncated; get a complete copy.")
        if path.suffix != ".keras":
            raise ValueError(f"{path} is a Keras file; rename it to end in .keras.")
    elif path.parent.name != checkpoints.FOLDER and not (
        (path / MODEL_FILE).exists() or initial_file(path).exists()
    ):
        if (path / QUANTIZED_FILE).exists():
            raise ValueError(
                f"{path} holds a quantized video backbone; give the model that was quantized, "
                f"and add --engine=openvino --quantized={path} if the program has --engine."
            )
        raise ValueError(f"{path} holds no network; give {_EXPECTED}.")
