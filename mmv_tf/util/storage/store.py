# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Objects of a store: list, read, download, upload and remove, each retried within bounds."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import dataclasses
import datetime
import errno
import functools
import hashlib
import importlib
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import google_crc32c

from mmv_tf.util import files
from mmv_tf.util.storage.errors import ChangedError, MissingError, StorageError, missing_bucket
from mmv_tf.util.storage.retries import retried
from mmv_tf.util.storage.urls import Location, cache_folder, redacted, url_of

# Ours. A part of a download is repeated as a whole; it is held in memory.
PART_BYTES = 16 << 20
# Ours. Parts of an upload, of which a client holds ten in memory.
UPLOAD_PART_BYTES = 16 << 20
# Ours: objects handled at once, which hides a store's latency.
PARALLEL = 8

# Name of the empty object that `check_writable` writes; no listing shows it.
PROBE = ".mmv_tf_write_check"

# Ours: a store that says nothing for this long is asked again.
_TIMEOUT_SECONDS = 60.0

# Extras of this package by scheme.
_EXTRAS = {"s3": "s3", "gs": "gcs"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """An object as the store lists it.

    Attributes:
      size: bytes.
      tag: changes whenever the content does; "" if the store gives none.
      modified: seconds since 1970 by the store's clock; None if unknown.
      crc32c: checksum of the content; None if the store gives none.
    """

    size: int
    tag: str = ""
    modified: float | None = None
    crc32c: int | None = None


class Store:
    """The objects whose names begin with `root`; names are relative to it. Threads may share it."""

    def __init__(self, root: Location, client: Any):
        self.root = root
        self._client = client

    def list(self) -> dict[str, Entry]:
        """Return all objects below the root, in the order of their names; empty if there is none.

        Raises:
          StorageError: the bucket does not exist, or can't be listed.
        """
        found = self._call("list it", lambda: self._find(self.root), self.root)
        start = f"{_path(self.root)}/"
        entries = {
            name[len(start) :]: _entry(info)
            for name, info in found.items()
            # Names that end in a slash are consoles' marks of empty folders.
            if name.startswith(start) and not name.endswith(("/", f"/{PROBE}"))
        }
        return dict(sorted(entries.items()))

    def stat(self, name: str = "") -> Entry | None:
        """Return an object's entry, None if it does not exist; "" is the root itself.

        Raises:
          StorageError: the store can't be asked.
        """
        place = self._place(name)
        try:
            info = self._call("look for it", lambda: self._client.info(_path(place)), place)
        except MissingError:
            return None
        return _entry(info) if info.get("type") == "file" else None

    def read(self, name: str = "", start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes from `start` to before `end`; None is the object's end.

        Raises:
          MissingError: there is no such object.
          ChangedError: it ends before `end`.
          StorageError: it can't be read.
        """
        if end is not None and end <= start:
            return b""
        place = self._place(name)

        def read() -> bytes:
            data = self._client.cat_file(_path(place), start=start or None, end=end)
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
        """Write an object to a file, which exists only when whole.

        Args:
          name: the object; "" is the root itself.
          to: the file; its time becomes the object's.
          entry: the object as listed; None to ask for it.
          sha256: the content's expected hash, hexadecimal.

        Returns:
          The object's entry.

        Raises:
          MissingError: there is no such object.
          ChangedError: it changed since it was listed.
          StorageError: it can't be read, or does not fit its checksum.
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
                raise StorageError(f"{redacted(str(place))}: its bytes do not fit its checksum.")
            if sha256 is not None and digest.hexdigest() != sha256:
                raise StorageError(
                    f"{redacted(str(place))}: is not as its manifest says (another SHA-256): it "
                    "changed since, or is damaged."
                )
            if listed.modified is not None:
                os.utime(temporary, (listed.modified, listed.modified))
        return listed

    def upload(self, file: str | os.PathLike[str], name: str = "") -> Entry:
        """Write a file as an object, which is replaced only when the file is there as a whole.

        Raises:
          StorageError: it can't be written.
          OSError: the file can't be read.
        """
        place, size = self._place(name), files.check_regular(file)
        local = os.fspath(file)
        options = {"chunksize": UPLOAD_PART_BYTES} if place.scheme in _EXTRAS else {}
        self._call("write it", lambda: self._client.put_file(local, _path(place), **options), place)
        return self._written(name, size)

    def write(self, name: str, data: bytes) -> Entry:
        """Write an object of `data`.

        Raises:
          StorageError: it can't be written.
        """
        place = self._place(name)
        self._call("write it", lambda: self._client.pipe_file(_path(place), data), place)
        return self._written(name, len(data))

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error.

        Raises:
          StorageError: one can't be removed.
        """

        def remove(name: str) -> None:
            place = self._place(name)
            try:
                self._call("remove it", lambda: self._client.rm_file(_path(place)), place)
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
            return self._client.find(_path(place), detail=True)
        except FileNotFoundError:
            # Some clients say so of an empty folder.
            if place.key and self._bucket_is_there(place):
                return {}
            raise

    def _call(self, doing: str, operation: Any, place: Location) -> Any:
        """Call the client; a missing object's bucket is looked for, too."""
        try:
            return retried(operation, doing, str(place))
        except MissingError:
            if not self._bucket_is_there(place):
                raise missing_bucket(f"{place.scheme}://{place.bucket}") from None
            raise

    @functools.cached_property
    def _seen(self) -> set[str]:
        """Buckets that exist."""
        return set()

    def _bucket_is_there(self, place: Location) -> bool:
        if place.bucket not in self._seen:
            bucket = dataclasses.replace(place, key="")
            try:
                retried(
                    lambda: self._client.ls(_path(bucket), detail=False), "list it", str(bucket)
                )
            except MissingError:
                return False
            except StorageError:
                return True  # It can't be told; the object is missing in any case.
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
                f"{redacted(str(self._place(name)))}: was written with {size} bytes, but {found}; "
                "does another program write it?"
            )
        return entry


def open_store(url: str | Location) -> Store:
    """Return the objects below a URL. Nothing is asked of the store yet.

    Raises:
      ValueError: it is no URL of a store.
      StorageError: the store's kind is unknown, or its client is not installed.
    """
    root = Location.parse(url) if isinstance(url, str) else url
    chosen = tuple(os.environ.get(name) for name in _CHOOSING)
    with _opening:
        return Store(root, _client(root.scheme, _host(root), os.getpid(), chosen))


@contextlib.contextmanager
def _full_disk_named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let the error of a full disk name the folder: the mirror's, or that of the file."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        folder = os.path.dirname(os.path.abspath(path)) if url_of(path) is None else cache_folder()
        raise OSError(error.errno, error.strerror, os.fspath(folder)) from None


_opening = threading.Lock()

# Variables that a client reads once, when it is made.
_CHOOSING = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
)


@functools.cache
def _client(scheme: str, host: str, process: int, chosen: tuple[str | None, ...]) -> Any:
    """Return the client of a kind of store, one for each process and environment."""
    del process, chosen
    try:
        options = _OPTIONS.get(scheme, dict)()
        fsspec = importlib.import_module("fsspec")
        if host:
            options |= fsspec.utils.infer_storage_options(f"{scheme}://{host}/")
            options = {key: options[key] for key in ("host", "port", "username") if key in options}
        client = fsspec.filesystem(
            scheme, use_listings_cache=False, skip_instance_cache=True, **options
        )
    except ImportError:
        extra = _EXTRAS.get(scheme)
        install = f"mmv_tf[{extra}]" if extra else f"fsspec[{scheme}]"
        raise StorageError(
            f"{scheme}:// needs the store's client: pip install '{install}'."
        ) from None
    except ValueError:
        raise StorageError(
            f"{scheme}:// is no store that fsspec knows; expected s3://, gs:// or another."
        ) from None
    if scheme == "s3":
        client.retries = 1  # `retried` repeats and counts.
    return client


def _host(root: Location) -> str:
    """Return the host of stores that have one, such as sftp."""
    return "" if root.scheme in (*_EXTRAS, "memory", "abfs", "az", "oss", "oci") else root.bucket


def _s3_options() -> dict[str, Any]:
    config = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 10,
        "read_timeout": _TIMEOUT_SECONDS,
        "max_pool_connections": 4 * PARALLEL,
    }
    return {"config_kwargs": config}


def _gs_options() -> dict[str, Any]:
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # It logs requests with their errors.
    # Zonal buckets need gRPC, which gcsfs would start, and wait for, at any bucket.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # An emulator takes no credentials, and looking for some takes seconds.
    return {"token": "anon"} if os.environ.get("STORAGE_EMULATOR_HOST") else {}


_OPTIONS = {"s3": _s3_options, "gs": _gs_options}


def _path(place: Location) -> str:
    """Return an object's name as fsspec spells it."""
    if _host(place):
        return f"/{place.key}"
    path = f"{place.bucket}/{place.key}" if place.key else place.bucket
    return f"/{path}" if place.scheme == "memory" else path


def _entry(info: Mapping[str, Any]) -> Entry:
    tag = next((info[key] for key in _TAGS if info.get(key)), "")
    checksum = info.get("crc32c")
    return Entry(
        size=int(info.get("size") or 0),
        tag=str(tag).strip('"'),
        modified=_seconds(next((info[key] for key in _TIMES if info.get(key)), None)),
        crc32c=int.from_bytes(base64.b64decode(checksum), "big") if checksum else None,
    )


_TAGS = ("ETag", "md5Hash", "crc32c", "etag", "checksum", "sha256", "mtime", "created", "modified")
_TIMES = ("LastModified", "updated", "last_modified", "mtime", "modified", "created")


def _seconds(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return float(value) if isinstance(value, int | float) else None
