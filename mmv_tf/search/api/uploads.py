# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Uploaded files to search for, kept only in memory, limited in number and bytes."""

from __future__ import annotations

import collections
import dataclasses
import secrets
import threading

# Ours: files kept at once.
_MOST = 64


@dataclasses.dataclass(frozen=True)
class Upload:
    """An uploaded file.

    Attributes:
      key: id, which can't be guessed.
      kind: "image", "video" or "audio".
      name: name given by the client, for messages.
      data: the file's content.
    """

    key: str
    kind: str
    name: str
    data: bytes


class Uploads:
    """The most recent uploads; thread-safe.

    Args:
      most_bytes: maximum total bytes; the oldest uploads are dropped for a new one.
      most: maximum number of files.
    """

    def __init__(self, most_bytes: int, most: int = _MOST):
        self._most_bytes = most_bytes
        self._most = most
        self._bytes = 0
        self._kept: collections.OrderedDict[str, Upload] = collections.OrderedDict()
        self._lock = threading.Lock()

    def add(self, kind: str, name: str, data: bytes) -> Upload:
        """Keep a file.

        Raises:
          ValueError: the file alone exceeds the limit for all files.
        """
        if len(data) > self._most_bytes:
            raise ValueError(f"{name} has {len(data)} bytes; the limit is {self._most_bytes}.")
        upload = Upload(secrets.token_urlsafe(16), kind, name, data)
        with self._lock:
            self._kept[upload.key] = upload
            self._bytes += len(data)
            while self._bytes > self._most_bytes or len(self._kept) > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= len(oldest.data)
        return upload

    def get(self, key: str) -> Upload | None:
        """Return a file, marking it as the most recent, or None if it was dropped."""
        with self._lock:
            upload = self._kept.get(key)
            if upload is not None:
                self._kept.move_to_end(key)
            return upload
