# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Object store URLs, and each object's local path."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import urllib.parse

CACHE_VARIABLE = "MMV_TF_STORAGE_CACHE"
# The file that counts a program's retries; set by the program for its child processes.
TALLY_VARIABLE = "MMV_TF_STORAGE_TALLY"
# Folder of the mirror's own files. No scheme begins with a dot.
STATE = ".state"

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)
# Other URLs that flags and lists accept, which do not belong to stores.
_NOT_STORES = ("file", "http", "https", "grpc")
# Alternative names of the same store.
_SAME = {"gcs": "gs", "s3a": "s3", "s3n": "s3"}
_BUCKET = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9._@:-]*")

# Limits of Linux file systems; S3's keys have up to 1024 bytes.
_MAX_NAME = 255
_MAX_PATH = 4000


@dataclasses.dataclass(frozen=True)
class Location:
    """A location in a store.

    Attributes:
      scheme: kind of store, such as "s3".
      bucket: the bucket, or the host for stores that have hosts.
      key: the object's name in the bucket, or common prefix of several; "" for the bucket.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Location:
        """Return a URL's location.

        Raises:
          ValueError: it is not a store URL, or contains a password.
        """
        parts = _URL.fullmatch(url)
        if not parts:
            raise ValueError(f"{redacted(url)}: expected a URL such as s3://bucket/folder.")
        scheme = parts["scheme"].lower()
        bucket, _, key = parts["rest"].partition("/")
        if ":" in bucket.rpartition("@")[0]:
            raise ValueError(
                f"{redacted(url)}: a password in a URL ends up in logs; give credentials in the "
                "environment or in the client's own files."
            )
        if not _BUCKET.fullmatch(bucket) or ".." in bucket:
            raise ValueError(f"{redacted(url)}: {bucket!r} is not a valid bucket name.")
        return cls(_SAME.get(scheme, scheme), bucket, key)

    def __str__(self) -> str:
        root = f"{self.scheme}://{self.bucket}"
        return f"{root}/{self.key}" if self.key else root

    def within(self, name: str) -> Location:
        """Return the location of an object below this one; `name` may contain slashes."""
        key = f"{self.key.rstrip('/')}/{name}" if self.key.rstrip("/") else name
        return dataclasses.replace(self, key=key)

    @property
    def parent(self) -> Location:
        """The location above this one."""
        return dataclasses.replace(self, key=self.key.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part of the key; "" for a bucket."""
        return self.key.rstrip("/").rpartition("/")[2]


def is_remote(text: str | os.PathLike[str]) -> bool:
    """Return whether a text is an object store URL."""
    match = _URL.fullmatch(text) if isinstance(text, str) else None
    return match is not None and match["scheme"].lower() not in _NOT_STORES


def local_path(text: str) -> str:
    """Return the path in a file:// URL; any other text unchanged.

    Raises:
      ValueError: the URL names another machine.
    """
    if not text.lower().startswith("file://"):
        return text
    host, slash, path = text[len("file://") :].partition("/")
    if host not in ("", "localhost") or not slash:
        raise ValueError(f"{text}: expected file:///PATH, with three slashes.")
    return urllib.parse.unquote(f"/{path}")


def redacted(text: str) -> str:
    """Return a text without the passwords and queries in its URLs, on one line."""
    text = re.sub(r"[\x00-\x1f\x7f]", lambda odd: f"\\x{ord(odd[0]):02x}", text)
    text = re.sub(r"(?<=://)[^/\s@]*:[^/\s@]*@", "...@", text)
    return re.sub(r"(://[^\s?]*\?)[^\s]*=[^\s]*", r"\1...", text)


def cache_folder() -> pathlib.Path:
    """Return the folder of mirrored objects, $MMV_TF_STORAGE_CACHE."""
    given = os.environ.get(CACHE_VARIABLE)
    if not given:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        given = os.path.join(base, "mmv_tf", "storage")
    return pathlib.Path(os.path.realpath(given))


def mirror_path(url: str | Location) -> pathlib.Path:
    """Return the local path for an object or a folder of objects.

    Raises:
      ValueError: it is not a store URL, or its name is too long for a file.
    """
    place = Location.parse(url) if isinstance(url, str) else url
    key = place.key.removesuffix("/")
    parts = [_escape(part) for part in key.split("/")] if key else []
    path = cache_folder().joinpath(place.scheme, place.bucket, *parts)
    if any(len(os.fsencode(part)) > _MAX_NAME for part in parts):
        raise ValueError(f"{redacted(str(place))}: a part of it is too long for a file name.")
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ValueError(f"{redacted(str(place))}: too long for a file path.")
    return path


def path_of(text: str | os.PathLike[str]) -> pathlib.Path:
    """Return the local path that stands for a path or a URL; nothing is fetched to it."""
    text = os.fspath(text)
    return mirror_path(text) if is_remote(text) else pathlib.Path(local_path(text))


def url_of(path: str | os.PathLike[str]) -> str | None:
    """Return the URL of a path in the mirror, or None for other paths."""
    absolute = os.path.abspath(path)
    cache = str(cache_folder())
    if not absolute.startswith(f"{cache}{os.sep}"):
        return None
    scheme, *rest = absolute[len(cache) + 1 :].split(os.sep)
    if not rest or scheme == STATE:
        return None
    return str(Location(scheme, rest[0], "/".join(map(_unescape, rest[1:]))))


def name_of(path: str | os.PathLike[str]) -> str:
    """Return the name of a path in messages and reports: its URL if it is mirrored."""
    text = os.fspath(path)
    if is_remote(text):
        return redacted(text)
    url = url_of(text)
    return text if url is None else redacted(url)


def named_in(text: str) -> str:
    """Return a message with URLs in place of mirror paths."""
    cache = re.escape(str(cache_folder()))
    return redacted(re.sub(rf"{cache}/([a-z][a-z0-9+.-]+)/", r"\1://", text))


def local_of(name: str) -> str:
    """Return the local path for a name that `name_of` returned; any other path unchanged."""
    return str(mirror_path(name)) if is_remote(name) else name


def _escape(part: str) -> str:
    """Return a part of a key as a file name; `_unescape` is the inverse."""
    if not part:
        return "%"
    if part in (".", ".."):
        return part.replace(".", "%2E")
    part = re.sub(r"%(?=[0-9A-Fa-f]{2}|$)", "%25", part)
    return re.sub(r"[\x00-\x1f\x7f]", lambda odd: f"%{ord(odd[0]):02X}", part)


def _unescape(name: str) -> str:
    return "" if name == "%" else urllib.parse.unquote(name)
