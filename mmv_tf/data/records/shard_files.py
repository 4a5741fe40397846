# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Folders of shards, on a disk or in an object store."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import pathlib
from typing import Any

from mmv_tf.data.records import manifests
from mmv_tf.data.records.manifests import ShardEntry
from mmv_tf.util.files import check_regular
from mmv_tf.util.storage import mirror
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.store import Entry, Store, open_store
from mmv_tf.util.storage.urls import name_of, path_of


class ShardFolder:
    """A folder of shards.

    Args:
      directory: the folder's path or URL.

    Attributes:
      path: the local folder; for a folder in a store, the mirror that its manifest is downloaded
        to, and shards when they are needed.
      place: location in the store; None if the folder is local.
    """

    def __init__(self, directory: str | pathlib.Path):
        self.path = path_of(directory)
        self.place = mirror.place_of(self.path)

    @property
    def is_remote(self) -> bool:
        """True if the folder is in a store."""
        return self.place is not None

    @property
    def name(self) -> str:
        """Name for use in messages."""
        return name_of(self.path)

    @functools.cached_property
    def store(self) -> Store:
        """The store that holds the folder.

        Raises:
          ValueError: the folder is local.
        """
        if self.place is None:
            raise ValueError(f"{self.path} is not in a store.")
        return open_store(self.place)

    @functools.cached_property
    def listed(self) -> dict[str, Entry]:
        """The store's entries by name, without subfolders; empty if the folder is local."""
        if not self.is_remote:
            return {}
        return {name: entry for name, entry in self.store.list().items() if "/" not in name}

    def entry(self, name: str) -> Entry | None:
        """Return the store's entry for a file, which a listing may not include yet.

        Raises:
          StorageError: the store cannot be reached.
        """
        return self.listed.get(name) or self.store.stat(name)

    def exists(self) -> bool:
        """Return whether the folder exists or, in a store, contains any object."""
        return bool(self.store.list()) if self.is_remote else self.path.exists()

    def names(self, pattern: str) -> list[str]:
        """Return the sorted names of the visible files that match a pattern."""
        if self.is_remote:
            found = fnmatch.filter(self.listed, pattern)
        else:
            found = [path.name for path in self.path.glob(pattern)]
        return sorted(name for name in found if not name.startswith("."))

    def holds(self, name: str) -> bool:
        """Return whether a file of that name exists.

        Raises:
          StorageError: the store cannot be reached.
        """
        return self.entry(name) is not None if self.is_remote else (self.path / name).is_file()

    def fetch_manifest(self) -> pathlib.Path:
        """Download the manifest, if there is one, and return the local folder."""
        if self.is_remote:
            try:
                mirror.fetch(self.path / manifests.MANIFEST)
            except MissingError:
                mirror.forget(self.path / manifests.MANIFEST)
        return self.path

    def listed_shards(self, manifest: dict[str, Any]) -> list[ShardEntry]:
        """Return the shards in a manifest, with the properties that the store reports."""
        shards = manifests.listed_shards(self.path, manifest)
        if not self.is_remote:
            return shards
        tags = {name: entry.tag for name, entry in self.listed.items()}
        return [dataclasses.replace(shard, tag=tags.get(shard.name, "")) for shard in shards]

    def found_shards(self, pattern: str) -> list[ShardEntry]:
        """Return the shards in a folder without a manifest, sorted by name.

        Raises:
          ValueError: no file matches.
        """
        if not self.is_remote:
            return manifests.found_shards(self.path, pattern)
        found = [
            ShardEntry(self.path / name, bytes=self.listed[name].size, tag=self.listed[name].tag)
            for name in self.names(pattern)
        ]
        if not found:
            raise ValueError(
                f"{self.name}: no object matches {pattern!r}; expected shards; set their name "
                "pattern."
            )
        return found

    def size(self, name: str) -> int:
        """Return a file's size in bytes.

        Raises:
          FileNotFoundError: the file does not exist.
          OSError: the path is not a file, or the store cannot be reached.
        """
        if not self.is_remote:
            return check_regular(self.path / name)
        entry = self.entry(name)
        if entry is None:
            raise MissingError(f"{self.name}/{name}")
        return entry.size

    def check_sizes(self, manifest: dict[str, Any]) -> None:
        """Check that the shards in a manifest exist and have the stated sizes.

        Raises:
          ValueError: a shard is missing or differs.
          StorageError: the store cannot be reached.
        """
        manifests.check_shards(self.path, manifest, size_of=lambda path: self.size(path.name))
