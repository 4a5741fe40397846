# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Opens an index for an update, checking that it has the same model and folders."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from mmv_tf.search import store
from mmv_tf.search.embedder import Embedder
from mmv_tf.search.files import Shard
from mmv_tf.search.folders import Folders, Found
from mmv_tf.search.labels import WindowLabels
from mmv_tf.search.manifest import Manifest
from mmv_tf.search.store import Index


def open_for_update(
    directory: pathlib.Path,
    found: Found,
    embedder: Embedder,
    labels: WindowLabels | None,
    shard: Shard | None,
    overwrite: bool,
    frames_per_second: float,
    forget: bool = False,
) -> Index:
    """Open the index to update, or create an empty index.

    Args:
      directory: the index folder.
      found: the videos, and the folders of the updated index.
      embedder: the model.
      labels: classifier for the windows.
      shard: share of the files.
      overwrite: start with an empty index if the existing one differs or is damaged.
      frames_per_second: number of frames that a new index describes.
      forget: keep only the folders of `found.known`, at the paths given there.

    Raises:
      ValueError: the index was made with another model, step, classifier, share or folder.
    """
    empty = Manifest(
        generation=0,
        roots=dict(found.folders.roots),
        model=embedder.path,
        fingerprint=embedder.fingerprint,
        windows=embedder.windows,
        matrices=embedder.matrices,
        options=embedder.options,
        labels=None if labels is None else labels.described,
        shard=None if shard is None else str(shard),
        frames_per_second=frames_per_second,
    )
    try:
        index = store.open_index(directory)
        if forget:
            index = dataclasses.replace(index, manifest=index.manifest.kept_in(found.known))
        _check_same(directory, embedder, index.manifest)
        _check_share(directory, found, empty.shard, index.manifest)
        _check_labels(directory, labels, index.manifest)
    except store.MissingIndex:
        return Index(directory, empty, {})
    except ValueError:
        if not overwrite:
            raise
        return Index(directory, empty, {})
    return dataclasses.replace(index, manifest=index.manifest.in_folders(found.folders))


def known_folders(directory: pathlib.Path) -> Folders:
    """Return an index's folders; none if there is no usable index."""
    try:
        return store.open_index(directory).manifest.folders
    except ValueError:  # for which `open_for_update` has a message
        return Folders({})


def _check_same(directory: pathlib.Path, embedder: Embedder, manifest: Manifest) -> None:
    """Raise a ValueError if an index was made with another model or other windows."""
    if not embedder.made(manifest.fingerprint):
        raise ValueError(
            f"{directory}: the index was made with the model {manifest.model} "
            f"({manifest.fingerprint[:12]}{_opened(manifest.options)}); got {embedder.path} "
            f"({embedder.fingerprint[:12]}{_opened(embedder.options)}). Vectors from different "
            "models can't be compared: use the index's model, another folder for the index, or "
            "--overwrite."
        )
    if manifest.windows != embedder.windows:
        raise ValueError(
            f"{directory}: the index has windows every {manifest.windows.step_frames} frames; got "
            f"{embedder.windows.step_frames}; use another folder for the index."
        )


def _check_share(
    directory: pathlib.Path, found: Found, shard: str | None, manifest: Manifest
) -> None:
    """Raise a ValueError if an index has only other folders, or another share."""
    there = list(manifest.roots.values())
    given = [found.folders.roots[label] for label in sorted(found.searched)]
    if not set(there) <= set(found.folders.roots.values()):
        both = " ".join(f"--videos={path}" for path in (*there, *given))
        hint = f"give {both} to add them"
        if not all(os.path.isdir(path) for path in there):
            hint = "--moved if a missing folder was moved there"
        raise ValueError(
            f"{directory} is the index of {', '.join(there)}; got videos in {', '.join(given)}; "
            f"use another folder for the index, or {hint}."
        )
    if manifest.shard != shard:
        raise ValueError(
            f"{directory} is the index of {_share(manifest.shard)}; got {_share(shard)}; use "
            "another folder for the index."
        )


def _share(shard: str | None) -> str:
    return "all files" if shard is None else f"the share {shard} of the files"


def _check_labels(directory: pathlib.Path, labels: WindowLabels | None, manifest: Manifest) -> None:
    """Raise a ValueError if an index has another classifier's labels, or none."""
    there = manifest.labels
    given = None if labels is None else labels.described
    if given is None and there is not None:
        raise ValueError(
            f"{directory}: the index has the labels from {there.path}; give "
            f"--classifier={there.path}, or --overwrite to build it again without labels."
        )
    if given is not None and (there is None or there.fingerprint != given.fingerprint):
        other = "no labels" if there is None else f"labels from another classifier ({there.path})"
        raise ValueError(
            f"{directory}: the index has {other}, and its windows are not stored; give --overwrite "
            f"to build it again with the labels from {given.path}, or another folder for the "
            "index."
        )


def _opened(options: Mapping[str, Any]) -> str:
    """Format a model's options, such as ", dtype=bfloat16"."""
    return "".join(f", {name}={value}" for name, value in sorted(options.items()))
