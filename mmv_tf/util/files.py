# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files: written whole or not at all, waited for, hashed, and read only if they are regular."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pathlib
import shutil
import stat
from collections.abc import Iterator
from typing import IO, Any

import google_crc32c

_CHUNK = 1 << 24  # Bytes that are summed up at once.
_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFIFO: "Is a pipe",
    stat.S_IFCHR: "Is a device",
    stat.S_IFBLK: "Is a device",
    stat.S_IFSOCK: "Is a socket",
}


def check_regular(path: str | os.PathLike[str]) -> int:
    """Return a file's size in bytes.

    Raises:
      OSError: it is not there, links to itself, or is a folder, a pipe, a device or a socket.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "Is no file")
        raise OSError(number, f"{kind}; expected a file", os.fspath(path))
    return status.st_size


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return what is in a file.

    Raises:
      ValueError: it has more than `max_bytes`.
      OSError: it can't be read, or is no regular file.
    """
    size = check_regular(path)
    if size > max_bytes:
        raise ValueError(
            f"{os.fspath(path)}: the file has {size} bytes; at most {max_bytes} are read; check "
            "that it is what you meant."
        )
    return pathlib.Path(path).read_bytes()


# In the name of everything unfinished: what a killed program leaves behind can be told by it.
MARK = ".partial-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], sync: bool = True) -> Iterator[pathlib.Path]:
    """A temporary name to write a file or a folder to; it becomes `path` when the block ends.

    If the block raises, what was written is removed and `path` stays as it was. A file's bytes are
    on the disk before its name says that they are. A folder takes the place of nothing or of an
    empty folder; replacing a full one can't be done in one step and is the caller's to do.

    Example:
        with files.replacing("model.keras") as temporary:
            model.save(temporary)

    Args:
      path: the target. Its folder is made if it is not there.
      sync: wait until a file is on the disk before renaming it. Without, a power cut can leave an
        incomplete one under its name; only for files that carry a check of their own.

    Yields:
      A path in the same folder with the same suffix (some writers go by it), with nothing there.

    Raises:
      FileNotFoundError: the block wrote nothing.
      OSError: the disk is full or can't be written.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target)
    try:
        yield temporary
        if sync and temporary.is_file():
            flush(temporary)
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write a UTF-8 file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before long work whether `path` can be written at its end.

    Its folder is made if it is not there.

    Raises:
      OSError: it can't be written, or is a folder.
    """
    target = pathlib.Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file to write.")
    target.parent.mkdir(parents=True, exist_ok=True)
    trial = _beside(target)
    trial.touch()
    trial.unlink()


def _beside(target: pathlib.Path) -> pathlib.Path:
    """Return the name to write under until `target` is whole; `remove_unfinished` knows it."""
    return target.with_name(f".{target.stem}{MARK}{os.getpid()}{target.suffix}")


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Remove what killed programs left unfinished in a folder; no other may be writing there."""
    for stray in pathlib.Path(folder).glob(f".*{MARK}*"):
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            stray.unlink(missing_ok=True)


def put_in_place(finished: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a finished file or folder its name in one step, and wait for the name to be on disk."""
    os.replace(finished, target)
    flush(pathlib.Path(target).parent)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_crc32c(path: str | os.PathLike[str]) -> int:
    """Return the CRC-32C of a file."""
    value = 0
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK):
            value = google_crc32c.extend(value, piece)
    return value


def check_content(
    path: str | os.PathLike[str],
    *,
    size: int | None = None,
    sha256: str | None = None,
    crc32c: int | None = None,
) -> None:
    """Compare a file with what is known of it.

    Raises:
      ValueError: it is not what was written.
      OSError: it can't be read, or is no regular file.
    """
    found, name = check_regular(path), os.path.basename(path)
    if size is not None and found != size:
        raise ValueError(f"{name} has {found} bytes, not {size}")
    if (sha256 is not None and file_sha256(path) != sha256) or (
        crc32c is not None and file_crc32c(path) != crc32c
    ):
        raise ValueError(f"{name} is not what was written")


def flush(target: str | os.PathLike[str] | IO[Any]) -> None:
    """Wait until an open file, a file or a folder's list of names is on the disk."""
    if not isinstance(target, str | os.PathLike):
        target.flush()
        os.fsync(target.fileno())
        return
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
