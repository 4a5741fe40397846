# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Users' lists of clips: CSV, TSV or JSONL files with one row per clip."""

from __future__ import annotations

import collections
import contextlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.preparation import settings as settings_lib
from mmv_tf.data.preparation.sources import (
    ListedClip,
    Source,
    captions_beside,
    check_unique,
    kind_of,
)
from mmv_tf.util.safe_files import parse_json
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.media import outline
from mmv_tf.util.storage.urls import is_remote, local_path, mirror_path, name_of, url_of
from mmv_tf.util.text_files import printable_name, read_cells, well_formed

COLUMNS = ("path", "start", "end", "label", "split", "captions", "example_id", "text")
SUFFIXES = (".csv", ".tsv", ".jsonl")
_MAX_BYTES = 2 << 30  # Ours; a row of a hundred bytes takes about a kilobyte of memory.


def read_listing(path: str | pathlib.Path) -> list[Source]:
    """Read a list of clips.

    The columns (keys in JSONL) are `path` and the following optional ones: `start` and `end`
    (seconds or hours:minutes:seconds; if empty, the start and end of the file), `label` (in JSONL
    possibly a list), `split`, `captions` (a caption file; if empty, the one beside the video, if
    any), `example_id`, and `text`, a narration of the clip. Paths are relative to the list's
    folder. A list in an object store is given by its URL, and it may name files by URL too. One
    file's rows form one source. TSV has no quoting: '"' is an ordinary character.

    Raises:
      ValueError: the list cannot be read, or a row is invalid; the message names the line.
    """
    path = _outlined(str(path))
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: expected a list ending in one of {', '.join(SUFFIXES)}.")
    text = captions_lib.read_text(path, _MAX_BYTES)
    rows: dict[str, list[tuple[str, dict[str, Any]]]] = collections.defaultdict(list)
    ids: dict[str, str] = {}
    for where, row in _rows(path, text):
        unknown = [name for name in row if name not in COLUMNS]
        if unknown:
            raise ValueError(
                f"{path}, {where}: unknown column {unknown[0]!r}; expected {', '.join(COLUMNS)}."
            )
        file = row.get("path")
        if not isinstance(file, str) or not file.strip():
            raise ValueError(f"{path}, {where}: no path; every row needs one; correct the row.")
        example_id = _text(row, "example_id", path, where)
        if example_id in ids:
            raise ValueError(
                f"{path}, {where}: the example id {example_id!r} is already used in "
                f"{ids[example_id]}; give every row its own id, or leave the column out."
            )
        if example_id:
            ids[example_id] = where
        rows[file.strip()].append((where, row))
    if not rows:
        raise ValueError(f"{path}: the list has no rows; expected one per clip.")
    known = captions_lib.CaptionFiles()
    sources = [_source(path, file, own, known) for file, own in rows.items()]
    check_unique(sources, path)
    return sorted(sources, key=lambda source: source.media_id)


def _outlined(place: str) -> pathlib.Path:
    """Return the local path to a list; if it is in a store, its folder gets placeholder files."""
    if not is_remote(place):
        return pathlib.Path(local_path(place))
    folder, _, name = place.rpartition("/")
    outline(folder, lambda name: True)
    return mirror_path(f"{folder}/{name}")


def _target(listing: pathlib.Path, file: str) -> pathlib.Path:
    """Return the path to a file that a list names."""
    if is_remote(file):
        path = mirror_path(file)
    else:
        path = listing.parent / local_path(file)
        if url_of(path) is None:
            return path
        path = pathlib.Path(os.path.normpath(path))
    if not path.exists():  # Not inside the list's folder.
        with contextlib.suppress(MissingError):
            outline(name_of(path), lambda name: True)
    return path


def _source(
    listing: pathlib.Path,
    file: str,
    rows: list[tuple[str, dict[str, Any]]],
    known: captions_lib.CaptionFiles,
) -> Source:
    """Return the source that one file's rows describe."""
    target = _target(listing, file)
    captions: set[str | None] = {_text(row, "captions", listing, where) for where, row in rows}
    captions.discard(None)
    if len(captions) > 1:
        raise ValueError(
            f"{listing}: {file} has the caption files {', '.join(sorted(map(str, captions)))}; "
            "expected only one; correct the captions column."
        )
    given = next(iter(captions), None)
    beside, left_out = captions_beside(target, known)
    if given:
        beside, left_out = _target(listing, given), captions_lib.LeftOut()
    clips = tuple(_clip(listing, where, row) for where, row in rows)
    whole = len(clips) == 1 and not clips[0].start and clips[0].end is None
    return Source(
        media_id=printable_name(pathlib.PurePath(file).with_suffix("").as_posix()),
        path=target,
        captions=beside,
        kind=kind_of(target),
        split=_one_split(listing, rows),
        labels=clips[0].labels if whole else (),
        clips=clips,
        left_out=left_out,
    )


def _one_split(listing: pathlib.Path, rows: list[tuple[str, dict[str, Any]]]) -> str | None:
    """Return a file's split if all its rows name the same one, else None."""
    splits = {_text(row, "split", listing, where) for where, row in rows}
    return next(iter(splits)) if len(splits) == 1 else None


def _clip(listing: pathlib.Path, where: str, row: dict[str, Any]) -> ListedClip:
    start, end = (_seconds(row.get(name), listing, where) for name in ("start", "end"))
    start = 0.0 if start is None else start
    if end is not None and end <= start:
        raise ValueError(
            f"{listing}, {where}: the clip ends at {end:g} s but starts at {start:g} s; expected "
            "an end after the start; correct that line."
        )
    label = row.get("label")
    labels = label if isinstance(label, list) else [label] if label else []
    if not all(isinstance(name, str) and name for name in labels):
        raise ValueError(f"{listing}, {where}: got the label {label!r}; expected a name or a list.")
    labels = [well_formed(name) for name in labels]
    split = _text(row, "split", listing, where)
    if split:
        settings_lib.check_split(split, f"{listing}, {where}")
    text = _text(row, "text", listing, where)
    if text and len(text) > captions_lib.MAX_CHARACTERS:
        raise ValueError(
            f"{listing}, {where}: the text has {len(text)} characters; expected at most "
            f"{captions_lib.MAX_CHARACTERS}; shorten it."
        )
    return ListedClip(
        start=start,
        end=end,
        labels=tuple(labels),
        texts=(text,) if text else (),
        split=split,
        example_id=_text(row, "example_id", listing, where),
    )


def _rows(path: pathlib.Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (line, row) for each row, leaving out a table's empty cells."""
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.split("\n"), start=1):
            if not line.strip():
                continue
            try:
                row = parse_json(line)
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number}: {error}; expected an object per line."
                ) from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: expected an object with a path.")
            yield f"line {number}", {key: value for key, value in row.items() if value is not None}
        return
    rows = read_cells(path, text)
    header = [name.strip().lower() for name in next(rows, (1, [""]))[1]]
    if "path" not in header or len(set(header)) != len(header):
        raise ValueError(
            f"{path}, line 1: got the columns {', '.join(header)[:80]!r}; expected path and "
            f"optionally {', '.join(COLUMNS[1:])}, each once."
        )
    for number, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: got {len(cells)} columns; expected the header's "
                f"{len(header)}; correct that line."
            )
        pairs = zip(header, cells, strict=True)
        yield f"line {number}", {name: cell.strip() for name, cell in pairs if cell.strip()}


def _text(row: dict[str, Any], name: str, path: pathlib.Path, where: str) -> str | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"{path}, {where}: got {name} {value!r}; expected text.")
    # A file name may hold any bytes; other values are text.
    return value if name == "captions" else well_formed(value)


def _seconds(value: Any, path: pathlib.Path, where: str) -> float | None:
    if value is None or value == "":
        return None
    return captions_lib.listed_seconds(str(value), f"{path}, {where}")
