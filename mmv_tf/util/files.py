# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Files: atomic writes, checks, hashes, and reads of regular files only."""

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

_CHUNK = 1 << 24  # bytes to hash at once
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
      OSError: it does not exist, links to itself, or is a folder, a pipe, a device or a socket.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        number = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "Is not a file")
        raise OSError(number, f"{kind}; expected a file", os.fspath(path))
    return status.st_size


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Return a file's content.

    Raises:
      ValueError: it has more than `max_bytes`.
      OSError: it can't be read, or is not a regular file.
    """
    size = check_regular(path)
    if size > max_bytes:
        raise ValueError(
            f"{os.fspath(path)}: the file has {size} bytes; at most {max_bytes} are read; check "
            "that it is the correct file."
        )
    return pathlib.Path(path).read_bytes()


# Part of every unfinished file's name, to recognize a killed program's leftovers.
MARK = ".partial-"


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], sync: bool = True) -> Iterator[pathlib.Path]:
    """Yield a temporary name for a file or a folder, which becomes `path` after the block.

    If the block raises, its output is removed and `path` does not change. A file's bytes are synced
    to the disk before it gets its name. A folder can replace only nothing or an empty folder;
    replacing a full folder can't be atomic and is left to the caller.

    Example:
        with files.replacing("model.keras") as temporary:
            model.save(temporary)

    Args:
      path: the target. Its folder is created if missing.
      sync: whether to sync a file to the disk before renaming it. Otherwise a power cut can leave
        an incomplete file under its name; False is only for files with a check of their own.

    Yields:
      A path in the same folder with the same suffix (some writers use it), where nothing exists.

    Raises:
      FileNotFoundError: the block wrote nothing.
      OSError: the disk is full or not writable.
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
    """Write a UTF-8 file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that `path` can be written at the end.

    Its folder is created if missing.

    Raises:
      OSError: the path can't be written, or is a folder.
    """
    target = pathlib.Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file to write.")
    target.parent.mkdir(parents=True, exist_ok=True)
    trial = _beside(target)
    trial.touch()
    trial.unlink()


def _beside(target: pathlib.Path) -> pathlib.Path:
    """Return the temporary name for `target`; `remove_unfinished` recognizes it."""
    return target.with_name(f".{target.stem}{MARK}{os.getpid()}{target.suffix}")


def remove_unfinished(folder: str | os.PathLike[str]) -> None:
    """Delete leftovers of killed programs in a folder to which no other program may be writing."""
    for stray in pathlib.Path(folder).glob(f".*{MARK}*"):
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            stray.unlink(missing_ok=True)


def put_in_place(finished: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Rename a finished file or folder atomically, and sync the name to the disk."""
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
    """Compare a file with its known size and checksum.

    Raises:
      ValueError: it differs.
      OSError: it can't be read, or is not a regular file.
    """
    found, name = check_regular(path), os.path.basename(path)
    if size is not None and found != size:
        raise ValueError(f"{name} has {found} bytes, not {size}")
    if (sha256 is not None and file_sha256(path) != sha256) or (
        crc32c is not None and file_crc32c(path) != crc32c
    ):
        raise ValueError(f"{name} is not as written")


def flush(target: str | os.PathLike[str] | IO[Any]) -> None:
    """Sync an open file, a file or a folder's list of names to the disk."""
    if not isinstance(target, str | os.PathLike):
        target.flush()
        os.fsync(target.fileno())
        return
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
