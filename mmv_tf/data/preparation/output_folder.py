# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The output folder, local or in a store: checks before the work, and cleanup afterwards."""

from __future__ import annotations

import contextlib
import errno
import json
import pathlib
import shutil
from collections.abc import Collection, Iterator
from typing import Any

from mmv_tf.data.preparation.cutting import bytes_a_second
from mmv_tf.data.preparation.plan import Plan
from mmv_tf.data.preparation.publication import SHARD_NAME
from mmv_tf.data.preparation.settings import Settings
from mmv_tf.data.preparation.work_folder import WorkFolder
from mmv_tf.data.records import manifests
from mmv_tf.data.records.manifests import JPEG_STORE
from mmv_tf.util import locks

PARTIAL = ".partial"
_LOCK = "lock"


class OutputFolder:
    """A data set's folder.

    Args:
      place: path to the folder, or its URL in a store.
    """

    def __init__(self, place: str | pathlib.Path):
        self.folder = WorkFolder(str(place))
        self._partial = self.folder.path / PARTIAL

    def work(self, fingerprint: str) -> WorkFolder:
        """Return the folder for unfinished work on data with this fingerprint."""
        return self.folder.within(f"{PARTIAL}/{fingerprint}")

    def prepared(
        self, fingerprint: str, settings: Settings, overwrite: bool
    ) -> dict[str, Any] | None:
        """Return the manifest if the same data already exists, or None if there is work to do.

        Raises:
          ValueError: the folder holds something else that must not be overwritten.
        """
        place, path = self.folder.place, self.folder.path
        if not self.folder.is_remote and path.exists() and not path.is_dir():
            raise ValueError(f"{place}: is a file; expected a folder to write to; choose another.")
        names = self._names()
        if manifests.MANIFEST not in names:
            if not overwrite and PARTIAL not in names and any(map(SHARD_NAME.fullmatch, names)):
                raise ValueError(
                    f"{place}: holds shards without a manifest, which this run would replace; "
                    "choose another --output, or pass --overwrite."
                )
            return None
        try:
            manifest = manifests.read_manifest(self.folder.fetched(manifests.MANIFEST).parent)
        except ValueError:
            if overwrite:
                return None
            raise
        if manifest.get("fingerprint") == fingerprint:
            if not self._has_shards(manifest, names):
                return None  # Shards are missing or cut off: write them again.
            if PARTIAL in names:  # A run was interrupted after writing the manifest.
                self.work(fingerprint).clear()
            return manifest
        if overwrite:
            return None
        usual = {"store": JPEG_STORE}
        now = {**usual, **json.loads(json.dumps(settings.stated()))}
        was = {**usual, **manifest["settings"]}
        differing = [
            f"{name} {was.get(name)} instead of {value}"
            for name, value in now.items()
            if was.get(name) != value
        ]
        raise ValueError(
            f"{place}: holds data prepared with "
            f"{', '.join(differing) or 'other videos, captions or versions'}; choose another "
            "--output, or pass --overwrite to replace it."
        )

    def _names(self) -> dict[str, int | None]:
        """Return the names in the folder, with sizes if it is in a store."""
        if self.folder.is_remote:
            entries = self.folder.entries()
            return {name.partition("/")[0]: entry.size for name, entry in entries.items()}
        if not self.folder.path.is_dir():
            return {}
        return dict.fromkeys(path.name for path in self.folder.path.iterdir())

    def _has_shards(self, manifest: dict[str, Any], sizes: dict[str, int | None]) -> bool:
        if self.folder.is_remote:
            shards = [one for split in manifest["splits"].values() for one in split["shards"]]
            return all(sizes.get(shard["file"]) == shard["bytes"] for shard in shards)
        try:
            manifests.check_shards(self.folder.path, manifest)
        except ValueError:
            return False
        return True

    @contextlib.contextmanager
    def held(self, shared: bool = False) -> Iterator[None]:
        """Lock the folder during the block, alone or together with others that share it.

        A store has no locks: two programs running at once would write the same blocks twice.

        Raises:
          ValueError: another program, on this machine or on one that shares the disk, holds the
            folder; or the disk is full.
        """
        place, is_new = self.folder.place, not self.folder.path.exists()
        self._partial.mkdir(parents=True, exist_ok=True)
        with (
            locks.held(self._partial / _LOCK, place, "preparing data there", shared),
            contextlib.nullcontext() if shared else self._tidied(is_new),
            _no_space_explained(place),
        ):
            yield

    def remove_stale(self, fingerprint: str) -> None:
        """Remove unfinished work on data with other fingerprints."""
        if self.folder.is_remote:
            names = self.folder.names(PARTIAL)
            self.folder.remove(n for n in names if n.split("/")[1] != fingerprint)
        for stale in self._partial.iterdir():
            if stale.is_dir() and stale.name != fingerprint:
                shutil.rmtree(stale)

    def check_space(self, plan: Plan, settings: Settings, present: Collection[str]) -> None:
        """Raise an error if the disk cannot hold the result, given the blocks already `present`.

        A store is assumed to have enough space.
        """
        if self.folder.is_remote:
            return
        need = 0.0
        for unit in plan.units:
            stored = sum(clip.span.end_ms - clip.span.start_ms for clip in unit.clips) / 1000
            size = stored * bytes_a_second(unit.info, settings)
            # Once in the work folder (unless already there), once in the shards.
            need += size if unit.block_name in present else 2 * size
        free = shutil.disk_usage(self.folder.path).free
        if free < need:
            raise ValueError(
                f"{self.folder.place}: about {need / 1e9:.2f} GB are needed, but only "
                f"{free / 1e9:.2f} GB are free; free up space, or choose another --output, a lower "
                "--frame_rate or a smaller --short_side."
            )

    @contextlib.contextmanager
    def _tidied(self, is_new: bool) -> Iterator[None]:
        """Remove the lock and its folder at the end if the folder holds nothing else.

        Also remove the parent folder if it is new and empty.
        """
        partial = self._partial
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                if {path.name for path in partial.iterdir()} <= {_LOCK}:
                    (partial / _LOCK).unlink(missing_ok=True)
                    partial.rmdir()
                    if is_new:
                        partial.parent.rmdir()


@contextlib.contextmanager
def removed_if_empty(folder: pathlib.Path) -> Iterator[None]:
    """Remove a folder at the end, even after an error, if it is empty."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _no_space_explained(place: str) -> Iterator[None]:
    """Turn errors from Python and TensorFlow about a full disk into one clear error."""
    try:
        yield
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in str(error):
            raise ValueError(
                f"{place}: the disk is full; free some space and rerun the same command, which "
                "resumes."
            ) from error
        raise
