# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""AudioSet: ten seconds of a YouTube video each, with any number of 527 sound classes.

As published: `balanced_train_segments.csv`, `unbalanced_train_segments.csv` and
`eval_segments.csv`, three lines of comment and then lines such as

    -0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"

with `class_labels_indices.csv` (index, mid, display_name), which gives the class ids, or, without
it, `ontology.json`, whose names are sorted by mid. The media may be whole videos (ID.mp4), or
trimmed: ID_START.mp4 or ID_START_END.mp4 with times in whole seconds, in seconds with decimals or
in milliseconds, and an optional "Y" before the ID. A list in a folder without media of its own
gives rows that are missing.
"""

from __future__ import annotations

import pathlib

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import (
    SOUND,
    SUFFIXES,
    VIDEO,
    Collection,
    ListedClip,
    Source,
    kind_of,
)
from mmv_tf.util.safe_files import check_form, parse_json

_LISTS = {
    "balanced_train_segments.csv": "balanced_train",
    "unbalanced_train_segments.csv": "unbalanced_train",
    "eval_segments.csv": "eval",
}
_MAX_ONTOLOGY_BYTES = 64 << 20


def read(directory: pathlib.Path) -> Collection:
    """Reads the data set from the folder that holds its lists and media."""
    names = _class_names(directory)
    files = tables.files_by_stem(directory, (*SUFFIXES[VIDEO], *SUFFIXES[SOUND]))
    sources = []
    for file, split in _LISTS.items():
        path = directory / file
        if not path.is_file():
            continue
        for where, line in tables.read_lines(path):
            if not line.startswith("#"):
                sources.append(_source(path, where, line, split, names, files))
    if not sources:
        raise ValueError(f"{directory}: no list found; expected {', '.join(_LISTS)}.")
    return Collection("audioset", tuple(sources), labels=tuple(names.values()))


def _source(
    path: pathlib.Path,
    where: str,
    line: str,
    split: str,
    names: dict[str, str],
    files: dict[str, pathlib.Path],
) -> Source:
    """The source of one line."""
    cells = [cell.strip() for cell in line.split(",", 3)]
    if len(cells) != 4:
        raise ValueError(
            f"{path}, {where}: got {line[:80]!r}; expected an id, two times and the classes."
        )
    youtube_id, mids = cells[0], cells[3].strip('"').split(",")
    start, end = (tables.number(cell, path, where) for cell in cells[1:3])
    unknown = [mid for mid in mids if mid.strip() not in names]
    if unknown:
        raise ValueError(
            f"{path}, {where}: the class {unknown[0]!r} is not in the class list; take both of "
            "the same release."
        )
    trimmed = next(
        (files[stem] for stem in trimmed_names(youtube_id, start, end) if stem in files), None
    )
    whole = files.get(youtube_id) or files.get(f"Y{youtube_id}")
    found = trimmed or whole or path.parent / f"{youtube_id}.mp4"
    return Source(
        media_id=f"{youtube_id}_{round(start * 1000)}",
        path=found,
        kind=SOUND if kind_of(found) == SOUND else VIDEO,
        split=split,
        labels=tuple(names[mid.strip()] for mid in mids),
        clips=None if trimmed else (ListedClip(start, end, may_be_trimmed=True),),
    )


def trimmed_names(youtube_id: str, start: float, end: float) -> list[str]:
    """What the usual download tools call a trimmed file, without its suffix."""
    return [
        f"{prefix}{youtube_id}_{times}"
        for prefix in ("", "Y")
        for times in (
            *(f"{start:.0f}_{end:.0f}", f"{start:.0f}", f"{start:.3f}_{end:.3f}", f"{start:.3f}"),
            *(f"{start * 1000:.0f}_{end * 1000:.0f}", f"{start:06.0f}_{end:06.0f}"),
            f"{start * 1000:.0f}",
        )
    ]


def _class_names(directory: pathlib.Path) -> dict[str, str]:
    """Display names by mid, in order of the class ids."""
    table = directory / "class_labels_indices.csv"
    if table.is_file():
        rows = [
            (tables.number(row["index"], table, where), row["mid"], row["display_name"])
            for where, row in tables.read_rows(table, ("index", "mid", "display_name"))
        ]
        return {mid: name for _, mid, name in sorted(rows)}
    path = tables.find_file(
        directory, ["class_labels_indices.csv", "ontology.json"], "list of classes"
    )
    try:
        entries = parse_json(captions_lib.read_text(path, _MAX_ONTOLOGY_BYTES))
        check_form(entries, [{"id": str, "name": str}])
    except ValueError as error:
        raise ValueError(f"{path}: not AudioSet's ontology ({error}); download it again.") from None
    named = {entry["id"]: entry["name"] for entry in entries}
    return dict(sorted(named.items()))
