# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Clients for stores, from fsspec's family, and what they report about objects."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import functools
import importlib
import logging
import os
import re
import threading
from collections.abc import Mapping
from typing import Any

from mmv_tf.util.storage.errors import CUT, SERVER_ERROR, THROTTLED, StorageError
from mmv_tf.util.storage.retries import count
from mmv_tf.util.storage.urls import Location

# Ours: number of objects handled at once, which hides a store's latency.
PARALLEL = 8

# Ours. Part size of an upload, of which a client holds ten in memory.
UPLOAD_PART_BYTES = 16 << 20

# Ours: a request is repeated if the store is silent for this long.
_TIMEOUT_SECONDS = 60.0

# Extras of this package by URL scheme.
_EXTRAS = {"s3": "s3", "gs": "gcs"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """An object in a store's listing.

    Attributes:
      size: size in bytes.
      tag: value that changes whenever the content does; "" if the store gives none.
      modified: seconds since 1970 by the store's clock; None if unknown.
      crc32c: checksum of the content; None if the store gives none.
    """

    size: int
    tag: str = ""
    modified: float | None = None
    crc32c: int | None = None


# Variables that a client reads once, when it is created.
_CHOOSING = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
)


_opening = threading.Lock()


def client_of(place: Location) -> Any:
    """Return the client for a store, one per process and environment.

    Raises:
      StorageError: the kind of store is unknown, or its client is not installed.
    """
    chosen = tuple(os.environ.get(name) for name in _CHOOSING)
    with _opening:
        return _client(place.scheme, _host(place), os.getpid(), chosen)


def path_of(place: Location) -> str:
    """Return an object's name in its client's spelling."""
    if _host(place):
        return f"/{place.key}"
    path = f"{place.bucket}/{place.key}" if place.key else place.bucket
    return f"/{path}" if place.scheme == "memory" else path


def upload_options(place: Location) -> dict[str, Any]:
    """Return the arguments for `put_file`."""
    return {"chunksize": UPLOAD_PART_BYTES} if place.scheme in _EXTRAS else {}


def entry_of(info: Mapping[str, Any]) -> Entry:
    """Return what a client reports about an object."""
    tag = next((info[key] for key in _TAGS if info.get(key)), "")
    checksum = info.get("crc32c")
    return Entry(
        size=int(info.get("size") or 0),
        tag=str(tag).strip('"'),
        modified=_seconds(next((info[key] for key in _TIMES if info.get(key)), None)),
        crc32c=int.from_bytes(base64.b64decode(checksum), "big") if checksum else None,
    )


@functools.cache
def _client(scheme: str, host: str, process: int, chosen: tuple[str | None, ...]) -> Any:
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
            f"{scheme}:// is not a store that fsspec knows; expected s3://, gs:// or another."
        ) from None
    if scheme == "s3":
        client.retries = 1  # `retried` repeats and counts.
    return client


def _host(root: Location) -> str:
    """Return the host of a store that has one, such as sftp."""
    return "" if root.scheme in (*_EXTRAS, "memory", "abfs", "az", "oss", "oci") else root.bucket


def _s3_options() -> dict[str, Any]:
    config = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 10,
        "read_timeout": _TIMEOUT_SECONDS,
        "max_pool_connections": 4 * PARALLEL,
    }
    # Clients read the address at their first request, when it may already be another store's.
    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return {"config_kwargs": config, "endpoint_url": address or None}


def _gs_options() -> dict[str, Any]:
    # The client repeats requests itself, and logs them with what may be secrets.
    log = logging.getLogger("gcsfs")
    log.setLevel(logging.DEBUG)
    log.addFilter(_note_retry)
    # Zonal buckets need gRPC, which gcsfs would start, and wait for, with any bucket.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return {}
    # An emulator needs no credentials, and looking for them takes seconds.
    address = emulator if "://" in emulator else f"http://{emulator}"
    return {"token": "anon", "endpoint_url": address}


def _note_retry(record: logging.LogRecord) -> bool:
    """Count a retry that gcsfs reports; none of its log is shown."""
    told = record.getMessage()
    if "retrying after exception" in told:
        status = re.search(r"\b[45]\d\d\b", told)
        reason = SERVER_ERROR if status else CUT
        count([THROTTLED if status and status[0] in ("429", "503") else reason])
    return False


_OPTIONS = {"s3": _s3_options, "gs": _gs_options}


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
