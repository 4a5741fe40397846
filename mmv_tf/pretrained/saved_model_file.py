# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads a SavedModel's file, in TF2's format or in TF-Hub's TF1 format with several graphs."""

from __future__ import annotations

import os
import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

SAVED_MODEL_FILE = "saved_model.pb"
# Ours: far larger than the graph of a published model; its weights are in other files.
_MAX_BYTES = 1 << 30


def find_saved_model(path: str | os.PathLike[str]) -> pathlib.Path | None:
    """Return a SavedModel's folder: `path`, or the newest of the numbered versions in it.

    Returns:
      None if there is none.
    """
    root = pathlib.Path(path)
    if (root / SAVED_MODEL_FILE).is_file():
        return root
    versions = [
        folder
        for folder in (root.iterdir() if root.is_dir() else ())
        if folder.name.isdecimal() and (folder / SAVED_MODEL_FILE).is_file()
    ]
    return max(versions, key=lambda folder: int(folder.name), default=None)


def read_saved_model(directory: str | os.PathLike[str]) -> saved_model_pb2.SavedModel:
    """Read a SavedModel's graphs; nothing is executed.

    Raises:
      ValueError: there is no SavedModel, it is damaged or too large, or one of its assets lies
        outside the folder.
    """
    folder = find_saved_model(directory)
    if folder is None:
        raise ValueError(
            f"{os.fspath(directory)} has no {SAVED_MODEL_FILE}; pass the folder of a SavedModel: "
            "an unpacked TF-Hub module, or the output of mmv export."
        )
    path = folder / SAVED_MODEL_FILE
    size = path.stat().st_size
    if not 0 < size <= _MAX_BYTES:
        raise ValueError(f"{path} has {size} bytes; expected a SavedModel of up to {_MAX_BYTES}.")
    try:
        saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise ValueError(
            f"{path} is damaged or not a SavedModel ({error}); download the module again."
        ) from error
    if not saved.meta_graphs:
        raise ValueError(f"{path} holds no graph; download the module again.")
    for graph in saved.meta_graphs:
        for name in assets(graph).values():
            asset_path(folder, name)
    return saved


def inference_graph(saved: saved_model_pb2.SavedModel) -> meta_graph_pb2.MetaGraphDef:
    """Return the graph in a SavedModel that is used for embedding.

    A TF-Hub module in TF1 format has a graph without tags, and one with the tag "train", whose
    batch norms use the batch's own statistics.

    Raises:
      ValueError: all graphs are for training.
    """
    found = [graph for graph in saved.meta_graphs if "train" not in graph.meta_info_def.tags]
    if not found:
        raise ValueError(
            'The SavedModel has only a graph for training (tags {"train"}); get the module '
            "with its inference graph."
        )
    # Prefer no tags to "serve", and "serve" to "serve" with "tpu" or "gpu".
    return min(found, key=lambda graph: len(set(graph.meta_info_def.tags)))


def load_tags(saved: saved_model_pb2.SavedModel) -> list[str] | None:
    """Return the tags with which `tf.saved_model.load` loads the graph of `inference_graph`."""
    graph = inference_graph(saved)
    return None if len(saved.meta_graphs) == 1 else list(graph.meta_info_def.tags)


def assets(graph: meta_graph_pb2.MetaGraphDef) -> dict[str, str]:
    """Return tensor -> name of the asset file whose path it holds."""
    found = list(graph.asset_file_def)
    # TF1's builder stores them here.
    for packed in graph.collection_def[tf.saved_model.ASSETS_KEY].any_list.value:
        asset = meta_graph_pb2.AssetFileDef()
        packed.Unpack(asset)
        found.append(asset)
    return {asset.tensor_info.name: asset.filename for asset in found}


def asset_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """Return an asset's file.

    Raises:
      ValueError: its name points outside the assets folder, or there is no such file.
    """
    relative = pathlib.PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts or "\\" in name:
        raise ValueError(
            f"{folder} names the asset {name!r}, which lies outside the folder; use another module."
        )
    path = folder / "assets" / relative
    if not path.is_file():
        raise ValueError(f"{folder} lacks its asset {name!r}; download the module again.")
    return path
