# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Records of fetched files: their sha256 at the first download, checked on every later use.

Hashing takes about one second per gigabyte, so a record also holds the size and modification time,
and a file is hashed again only if one of them differs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping

from mmv_tf.pretrained.web import FetchError
from mmv_tf.util import files as files_lib
from mmv_tf.util.files import file_sha256
from mmv_tf.util.safe_files import read_json


@dataclasses.dataclass(frozen=True)
class Stamp:
    """A file's identity.

    Attributes:
      size: size in bytes.
      mtime_ns: modification time in nanoseconds.
      sha256: hexadecimal SHA-256.
    """

    size: int
    mtime_ns: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Record:
    """Fetched files.

    Attributes:
      source: URL, handle, or "placed by hand".
      root: the files' folder.
      files: path below `root` -> stamp.
    """

    source: str
    root: str
    files: Mapping[str, Stamp]


def make_record(source: str, root: pathlib.Path, names: Iterable[str]) -> Record:
    """Hash files, and return their record."""
    return Record(source, str(root), {name: _stamp(root / name) for name in sorted(names)})


def read_record(path: pathlib.Path) -> Record | None:
    """Read a record, or return None if there is none.

    Raises:
      FetchError: the file is not a record.
    """
    try:
        content = read_json(path)
        files = {name: Stamp(**stamp) for name, stamp in content["files"].items()}
        return Record(str(content["source"]), str(content["root"]), files)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FetchError(
            f"{path} is damaged: expected the sha256 of the downloaded files. Delete it to "
            "record the files again."
        ) from error


def write_record(record: Record, path: pathlib.Path) -> None:
    """Write a record atomically."""
    files_lib.write_text(json.dumps(dataclasses.asdict(record), indent=1), path)


def check_files(record: Record, path: pathlib.Path) -> None:
    """Check files against their record.

    Args:
      record: the record at `path`; its modification times are updated.

    Raises:
      FetchError: a file is missing or has changed.
    """
    root = pathlib.Path(record.root)
    found: dict[str, Stamp] = {}
    for name, stamp in record.files.items():
        file = root / name
        if not file.is_file():
            raise FetchError(f"{file} is missing. Delete {root} to download it again.")
        status = file.stat()
        if (status.st_size, status.st_mtime_ns) == (stamp.size, stamp.mtime_ns):
            found[name] = stamp
            continue
        found[name] = _stamp(file)
        if found[name].sha256 != stamp.sha256:
            raise FetchError(
                f"{file} has changed since it was first used (sha256 {found[name].sha256[:12]}..., "
                f"not {stamp.sha256[:12]}...). Delete it to download it again, or delete {path} to "
                "accept the current file."
            )
    if found != record.files:
        # Without write access it is hashed each time.
        with contextlib.suppress(OSError):
            write_record(dataclasses.replace(record, files=found), path)


def check_same_content(record: Record, first: Record, path: pathlib.Path) -> None:
    """Check that a new download has the same bytes as the first.

    Args:
      record: record of the new download.
      first: record of the first download, read from `path`.

    Raises:
      FetchError: a file differs, is missing or is new.
    """
    new = {name: stamp.sha256 for name, stamp in record.files.items()}
    old = {name: stamp.sha256 for name, stamp in first.files.items()}
    for name in sorted({**old, **new}):
        if new.get(name) != old.get(name):
            raise FetchError(
                f"{name} ({record.source}) differs from the first download (sha256 "
                f"{new.get(name, 'none')[:12]}..., not {old.get(name, 'none')[:12]}...). If you "
                f"trust the new file, delete {path} and rerun the same command."
            )


def _stamp(path: pathlib.Path) -> Stamp:
    status = path.stat()  # before hashing, so that a change during it is noticed next time
    return Stamp(status.st_size, status.st_mtime_ns, file_sha256(path))
