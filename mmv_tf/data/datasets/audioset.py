# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""AudioSet: ten-second clips of YouTube videos, each with any number of 527 audio classes.

As published: `balanced_train_segments.csv`, `unbalanced_train_segments.csv` and
`eval_segments.csv`, three comment lines followed by lines such as

    -0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"

with `class_labels_indices.csv` (index, mid, display_name), which defines the class ids, or else
`ontology.json`, whose names are sorted by mid. Media are whole videos (ID.mp4), or trimmed videos:
ID_START.mp4 or ID_START_END.mp4 with times in whole seconds, decimal seconds or milliseconds,
and an optional "Y" before the ID. Listed clips without media are reported as missing.
"""

from __future__ import annotations

import pathlib

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.file_types import SOUND, VIDEO
from mmv_tf.util.safe_files import check_form, parse_json

_SPLITS = ("balanced_train", "unbalanced_train", "eval")
_DIVISIONS = {split: Division((split,), ("eval",)) for split in _SPLITS[:2]}
_MAX_ONTOLOGY_BYTES = 64 << 20


@DATA_SETS.register("audioset")
def read(folder: Folder) -> Published:
    """Read the data set."""
    names = _class_names(folder)
    entries = []
    for split in _SPLITS:
        path = folder.find_in_folder((f"{split}_segments.csv",))
        if path is None or not folder.wants(split, _DIVISIONS):
            continue
        for where, line in tables.read_lines(path):
            if not line.startswith("#"):
                entries.append(_entry(path, where, line, split, names))
    if not entries:
        expected = ", ".join(f"{split}_segments.csv" for split in _SPLITS)
        raise ValueError(f"{folder.directory}: no list found; expected {expected}.")
    classes = tuple(names.values())
    return Published(tuple(entries), classes, divisions=_DIVISIONS, kinds=(VIDEO, SOUND))


def _entry(path: pathlib.Path, where: str, line: str, split: str, names: dict[str, str]) -> Entry:
    cells = [cell.strip() for cell in line.split(",", 3)]
    if len(cells) != 4:
        raise ValueError(
            f"{path}, {where}: got {line[:80]!r}; expected an id, two times and the classes."
        )
    youtube_id, mids = cells[0], [mid.strip() for mid in cells[3].strip('"').split(",")]
    start, end = (tables.number(cell, path, where) for cell in cells[1:3])
    unknown = [mid for mid in mids if mid not in names]
    if unknown:
        raise ValueError(
            f"{path}, {where}: the class {unknown[0]!r} is not in the class list; use two lists "
            "from the same release."
        )
    trimmed = _trimmed_names(youtube_id, start, end)
    return Entry(
        entry_id=youtube_id,
        files=(youtube_id, f"Y{youtube_id}", *trimmed),
        split=split,
        source_id=f"{youtube_id}_{round(start * 1000)}",
        labels=tuple(names[mid] for mid in mids),
        group=youtube_id,
        start=start,
        end=end,
        trimmed=trimmed,
    )


def _trimmed_names(youtube_id: str, start: float, end: float) -> tuple[str, ...]:
    """Return the names that common download tools give a trimmed file, without suffix."""
    return tuple(
        f"{prefix}{youtube_id}_{times}"
        for prefix in ("", "Y")
        for times in (
            *(f"{start:.0f}_{end:.0f}", f"{start:.0f}", f"{start:.3f}_{end:.3f}", f"{start:.3f}"),
            *(f"{start * 1000:.0f}_{end * 1000:.0f}", f"{start:06.0f}_{end:06.0f}"),
            f"{start * 1000:.0f}",
        )
    )


def _class_names(folder: Folder) -> dict[str, str]:
    """Return display names by mid, in order of the class ids."""
    path = folder.find(("class_labels_indices.csv", "ontology.json"), "class list")
    if path.suffix == ".csv":
        rows = sorted(
            (tables.number(row["index"], path, where), row["mid"], row["display_name"])
            for where, row in tables.read_rows(path, ("index", "mid", "display_name"))
        )
        for expected, (index, _, _) in enumerate(rows):
            if index != expected:
                raise ValueError(
                    f"{path}: got the index {index:g}; expected 0 to {len(rows) - 1}, each once."
                )
        names = {mid: name for _, mid, name in rows}
        if len(set(names.values())) < len(rows):
            raise ValueError(f"{path}: a mid or a name occurs twice; download the list again.")
        return names
    try:
        entries = parse_json(captions_lib.read_text(path, _MAX_ONTOLOGY_BYTES))
        check_form(entries, [{"id": str, "name": str}])
    except ValueError as error:
        raise ValueError(f"{path}: not AudioSet's ontology ({error}); download it again.") from None
    named = {entry["id"]: entry["name"] for entry in entries}
    return dict(sorted(named.items()))
