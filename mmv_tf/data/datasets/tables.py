# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tools for reading published lists: tables, media files by name, folds."""

from __future__ import annotations

import math
import os
import pathlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import file_types
from mmv_tf.util.text_files import read_cells

_MAX_BYTES = 2 << 30  # Ours; AudioSet's largest list is 0.1 GB.


def read_rows(path: pathlib.Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (line, row) for each row of a table with a header line.

    Args:
      path: the table.
      columns: required columns, in which no cell may be empty.

    Raises:
      ValueError: a column is missing, or a row has too few or too many cells, or lacks a value.
    """
    rows = read_cells(path, captions_lib.read_text(path, _MAX_BYTES))
    header = [name.strip() for name in next(rows, (1, [""]))[1]]
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(
            f"{path}, line 1: lacks the column {missing[0]!r}; got {', '.join(header)[:80]!r}; "
            "use the list as it was published."
        )
    for line, cells in rows:
        where = f"line {line}"
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, {where}: got {len(cells)} columns; expected the header's {len(header)}; "
                "use the list as it was published."
            )
        row = dict(zip(header, cells, strict=True))
        empty = [name for name in columns if not row[name].strip()]
        if empty:
            raise ValueError(
                f"{path}, {where}: has no {empty[0]!r}; use the list as it was published."
            )
        yield where, row


def read_lines(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield (line number, line) from a text file, without blank lines."""
    for number, line in enumerate(captions_lib.read_text(path, _MAX_BYTES).split("\n"), start=1):
        if line.strip():
            yield f"line {number}", line.strip()


def number(text: str, path: pathlib.Path, where: str) -> float:
    """Parse a number in a table; raise a ValueError that names its place for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(
            f"{path}, {where}: got {text!r}; expected a number; use the list as it was published."
        )
    return value


def classes_by_number(rows: Iterable[tuple[str, str, str]], path: pathlib.Path) -> tuple[str, ...]:
    """Return class names in the order of their numbers.

    Args:
      rows: (line, number, name); the same pair may occur several times.
      path: the list, for messages.

    Raises:
      ValueError: a number is not a number, belongs to two names, or a name has two numbers.
    """
    names: dict[float, str] = {}
    numbers: dict[str, float] = {}
    for where, text, name in rows:
        value = number(text, path, where)
        if names.setdefault(value, name) != name or numbers.setdefault(name, value) != value:
            raise ValueError(
                f"{path}, {where}: the class {name!r} has the number {value:g}, but an earlier "
                "line gives another number for this class, or another class for this number; use "
                "the list as it was published."
            )
    return tuple(names[value] for value in sorted(names))


def find_file(directory: pathlib.Path, names: Sequence[str], what: str) -> pathlib.Path:
    """Return the first of several files or folders that exists.

    Raises:
      ValueError: none exists.
    """
    for name in names:
        if (directory / name).exists():
            return directory / name
    raise ValueError(f"{directory}: no {what} found; expected {' or '.join(names)}.")


def files_by_stem(directory: pathlib.Path, known: Collection[str]) -> dict[str, pathlib.Path]:
    """Return all media files in a folder and its subfolders, by name without suffix.

    Among files with the same name, usual suffixes (`file_types.is_usual`) come first; then the
    first by path is used.
    """
    found: dict[str, pathlib.Path] = {}
    unusual: dict[str, pathlib.Path] = {}
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in known:
                by_stem = found if file_types.is_usual(name) else unusual
                by_stem.setdefault(stem, pathlib.Path(folder) / name)
    return {**unusual, **found}


def parts_and_folds(
    memberships: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Divide items so that each of several official divisions is a union of splits.

    Otherwise a data set with three train/test lists would have to be stored three times.

    Args:
      memberships: for each item, its part ("train", "test") by fold.

    Returns:
      The split of each item, named after its parts, such as "test1_train2_train3", and for each
      fold and part the splits joined by "+".
    """
    split_of = {
        item: "_".join(f"{part}{fold}" for fold, part in sorted(parts.items())) or "unused"
        for item, parts in memberships.items()
    }
    members: dict[str, dict[str, set[str]]] = {}
    for item, parts in memberships.items():
        for fold, part in parts.items():
            members.setdefault(fold, {}).setdefault(part, set()).add(split_of[item])
    folds = {
        fold: {part: "+".join(sorted(names)) for part, names in sorted(parts.items())}
        for fold, parts in sorted(members.items())
    }
    return split_of, folds
