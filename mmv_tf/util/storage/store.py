# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Objects in a store: list, read, download, upload and remove, each with bounded retries."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import errno
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import google_crc32c

from mmv_tf.util import files
from mmv_tf.util.storage.clients import PARALLEL, client_of, entry_of, path_of, upload_options
from mmv_tf.util.storage.clients import Entry as Entry
from mmv_tf.util.storage.errors import ChangedError, MissingError, StorageError, missing_bucket
from mmv_tf.util.storage.retries import retried
from mmv_tf.util.storage.urls import Location, cache_folder, redacted, url_of

# Ours. A part of a download is retried as a whole; it is held in memory.
PART_BYTES = 16 << 20

# Name of the empty object that `check_writable` writes; no listing shows it.
PROBE = ".mmv_tf_write_check"


class Store:
    """Objects whose names begin with `root`; names are relative to it. Threads may share it."""

    def __init__(self, root: Location, client: Any):
        self.root = root
        self._client = client

    def list(self) -> dict[str, Entry]:
        """Return all objects below the root, in name order; empty if there are none.

        Raises:
          StorageError: the bucket does not exist, or can't be listed.
        """
        found = self._call("list it", lambda: self._find(self.root), self.root)
        start = f"{path_of(self.root)}/"
        entries = {
            name[len(start) :]: entry_of(info)
            for name, info in found.items()
            # Names that end in a slash are how consoles mark empty folders.
            if name.startswith(start) and not name.endswith(("/", f"/{PROBE}"))
        }
        return dict(sorted(entries.items()))

    def stat(self, name: str = "") -> Entry | None:
        """Return an object's entry, or None if it does not exist; "" is the root itself.

        Raises:
          StorageError: the store can't be reached.
        """
        place = self._place(name)
        try:
            info = self._call("look for it", lambda: self._client.info(path_of(place)), place)
        except MissingError:
            return None
        return entry_of(info) if info.get("type") == "file" else None

    def read(self, name: str = "", start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` up to `end`, exclusive; an end of None is the object's end.

        Raises:
          MissingError: there is no such object.
          ChangedError: the object ends before `end`.
          StorageError: it can't be read.
        """
        if end is not None and end <= start:
            return b""
        place = self._place(name)

        def read() -> bytes:
            data = self._client.cat_file(path_of(place), start=start or None, end=end)
            if end is not None and len(data) < end - start:
                raise ChangedError(str(place))
            return data

        return self._call("read it", read, place)

    def download(
        self,
        name: str,
        to: str | os.PathLike[str],
        entry: Entry | None = None,
        sha256: str | None = None,
    ) -> Entry:
        """Write an object to a file, which exists only when complete.

        Args:
          name: the object; "" is the root itself.
          to: the file; its time is set to the object's.
          entry: the object as listed; None to look it up.
          sha256: expected SHA-256 of the content, hexadecimal.

        Returns:
          The object's entry.

        Raises:
          MissingError: there is no such object.
          ChangedError: it changed since it was listed.
          StorageError: it can't be read, or does not match its checksum.
          OSError: the file can't be written.
        """
        place = self._place(name)
        listed = entry if entry is not None else self.stat(name)
        if listed is None:
            raise MissingError(str(place))
        with _full_disk_named(to), files.replacing(to, sync=False) as temporary:
            with open(temporary, "wb") as file:
                digest, crc32c = hashlib.sha256(), 0
                for start in range(0, listed.size, PART_BYTES):
                    part = self.read(name, start, min(start + PART_BYTES, listed.size))
                    file.write(part)
                    digest.update(part)
                    crc32c = google_crc32c.extend(crc32c, part)
            self._check_unchanged(name, listed)
            if listed.crc32c not in (None, crc32c):
                raise StorageError(f"{redacted(str(place))}: its bytes do not match its checksum.")
            if sha256 is not None and digest.hexdigest() != sha256:
                raise StorageError(
                    f"{redacted(str(place))} does not match its manifest (its SHA-256 differs): it "
                    "has changed since or is damaged."
                )
            if listed.modified is not None:
                os.utime(temporary, (listed.modified, listed.modified))
        return listed

    def upload(self, file: str | os.PathLike[str], name: str = "") -> Entry:
        """Write a file as an object, which is replaced only when the upload is complete.

        Raises:
          StorageError: it can't be written.
          OSError: the file can't be read.
        """
        place, size = self._place(name), files.check_regular(file)
        local, path, options = os.fspath(file), path_of(place), upload_options(place)
        self._call("write it", lambda: self._client.put_file(local, path, **options), place)
        return self._written(name, size)

    def write(self, name: str, data: bytes) -> Entry:
        """Write `data` as an object.

        Raises:
          StorageError: it can't be written.
        """
        place = self._place(name)
        self._call("write it", lambda: self._client.pipe_file(path_of(place), data), place)
        return self._written(name, len(data))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; a missing object is not an error.

        Each takes a request: the clients' bulk removal expands wildcards in names, and does not
        report the objects that a store refuses to remove.

        Raises:
          StorageError: one can't be removed.
        """

        def remove(name: str) -> None:
            place = self._place(name)
            try:
                self._call("remove it", lambda: self._client.rm_file(path_of(place)), place)
            except MissingError:
                return

        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as threads:
            list(threads.map(remove, names))

    def check_writable(self) -> None:
        """Check, before long work, that objects can be written here.

        Raises:
          StorageError: they can't.
        """
        self.write(PROBE, b"")
        self.remove([PROBE])

    def _place(self, name: str) -> Location:
        return self.root.within(name) if name else self.root

    def _find(self, place: Location) -> Mapping[str, Any]:
        try:
            return self._client.find(path_of(place), detail=True)
        except FileNotFoundError:
            # Some clients report this for an empty folder.
            if place.key and self._bucket_is_there(place):
                return {}
            raise

    def _call(self, doing: str, operation: Any, place: Location) -> Any:
        """Call the client; for a missing object, check its bucket too."""
        try:
            return retried(operation, doing, str(place))
        except MissingError:
            if not self._bucket_is_there(place):
                raise missing_bucket(f"{place.scheme}://{place.bucket}") from None
            raise

    @functools.cached_property
    def _seen(self) -> set[str]:
        """Buckets known to exist."""
        return set()

    def _bucket_is_there(self, place: Location) -> bool:
        if place.bucket not in self._seen:
            bucket = dataclasses.replace(place, key="")
            try:
                retried(
                    lambda: self._client.ls(path_of(bucket), detail=False), "list it", str(bucket)
                )
            except MissingError:
                return False
            except StorageError:
                return True  # It can't be determined; the object is missing in any case.
            self._seen.add(place.bucket)
        return True

    def _check_unchanged(self, name: str, listed: Entry) -> None:
        now = self.stat(name)
        if now is None or now.size != listed.size or (listed.tag and now.tag != listed.tag):
            raise ChangedError(str(self._place(name)))

    def _written(self, name: str, size: int) -> Entry:
        entry = self.stat(name)
        if entry is None or entry.size != size:
            found = "is not there" if entry is None else f"has {entry.size} bytes"
            raise StorageError(
                f"{redacted(str(self._place(name)))} was written with {size} bytes, but {found}; "
                "is another program writing to it?"
            )
        return entry


def open_store(url: str | Location) -> Store:
    """Return the objects below a URL, without contacting the store yet.

    Raises:
      ValueError: it is not a store URL.
      StorageError: the kind of store is unknown, or its client is not installed.
    """
    root = Location.parse(url) if isinstance(url, str) else url
    return Store(root, client_of(root))


@contextlib.contextmanager
def _full_disk_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let a full disk's error name the folder: the mirror's, or that of the file."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        folder = os.path.dirname(os.path.abspath(path)) if url_of(path) is None else cache_folder()
        raise OSError(error.errno, error.strerror, os.fspath(folder)) from None
