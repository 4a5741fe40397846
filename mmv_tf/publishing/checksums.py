# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""SHA-256 sums of a folder's files, in the form that `sha256sum --check` reads."""

from __future__ import annotations

import os
import pathlib

from mmv_tf.data.writer import file_sha256

SUMS_FILE = "SHA256SUMS"


def write_checksums(directory: str | os.PathLike[str]) -> None:
    """Writes the sums of all files of a folder, the folders inside too, to `SHA256SUMS`."""
    root = pathlib.Path(directory)
    lines = [f"{file_sha256(root / name)}  {name}" for name in _files(root)]
    (root / SUMS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def verify_checksums(directory: str | os.PathLike[str]) -> None:
    """Holds a folder against its `SHA256SUMS`.

    Raises:
      ValueError: if there are no sums, or a file is missing, changed, or not listed.
    """
    root = pathlib.Path(directory)
    path = root / SUMS_FILE
    if not path.is_file():
        raise ValueError(f"{root} has no {SUMS_FILE}; was it written by binaries.export?")
    listed = {}
    for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n"):
        digest, _, name = line.partition("  ")
        listed[name] = digest
    there = set(_files(root))
    wrong = [f"{name} is missing" for name in sorted(set(listed) - there)]
    wrong += [f"{name} is not listed" for name in sorted(there - set(listed))]
    wrong += [
        f"{name} was changed"
        for name in sorted(there & set(listed))
        if listed[name] != file_sha256(root / name)
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ValueError(f"{root} is not as it was published: {wrong[0]}{more}; export it again.")


def _files(root: pathlib.Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and path != root / SUMS_FILE
    )
