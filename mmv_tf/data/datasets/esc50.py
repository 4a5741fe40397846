# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""ESC-50 and ESC-10: five-second clips of environmental audio, in five official folds.

As published: `audio/FOLD-CLIP-TAKE-TARGET.wav` with `meta/esc50.csv` (filename, fold, target,
category, esc10, src_file, take). Without the table, as in the first ESC-10 release, the fold is the
first number in a file's name, and the class is its folder, such as "001 - Dog bark", whose number
defines the order.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Entry, Folder, Published, leave_one_out
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.file_types import SOUND, SUFFIXES
from mmv_tf.util.text_files import printable_name

_COLUMNS = ("filename", "fold", "target", "category")


@DATA_SETS.register("esc10")
@DATA_SETS.register("esc50")
def read(folder: Folder) -> Published:
    """Read ESC-50 or its subset ESC-10; a division is named after its test fold."""
    table = folder.find_in_folder(("meta/esc50.csv",))
    if table is None:
        entries, labels = _from_folders(folder.directory)
        classes = labels
    else:
        entries, labels = _from_table(table, only_esc10=folder.name == "esc10")
        classes = tuple(sorted(labels))
    if not entries:
        raise ValueError(
            f"{folder.directory}: no audio found; expected meta/esc50.csv and audio/, or folders "
            "such as '001 - Dog bark' with 1-100032-A.ogg."
        )
    return Published(tuple(entries), classes, labels, leave_one_out(entries), True, (SOUND,))


def _from_table(path: pathlib.Path, only_esc10: bool) -> tuple[list[Entry], tuple[str, ...]]:
    """Return entries and classes by `target`; ESC-10 has the same order without gaps."""
    entries, targets = [], []
    for where, row in tables.read_rows(path, (*_COLUMNS, *(["esc10"] if only_esc10 else []))):
        if only_esc10 and row["esc10"].lower() != "true":
            continue
        targets.append((where, row["target"], row["category"]))
        fold = f"{int(tables.number(row['fold'], path, where))}"
        entries.append(_entry(f"audio/{row['filename']}", fold, row["category"]))
    return entries, tables.classes_by_number(targets, path)


def _from_folders(directory: pathlib.Path) -> tuple[list[Entry], tuple[str, ...]]:
    """Return entries and classes, derived from folder and file names."""
    entries, labels = [], {}
    for path in sorted(_audio_files(directory)):
        fold = re.match(r"(\d+)-", path.name)
        if fold is None:
            raise ValueError(
                f"{path}: the name does not start with a fold number and a dash; expected a "
                "name such as 1-100032-A.ogg."
            )
        label = printable_name(re.sub(r"^\d+ - (?=.)", "", path.parent.name))
        labels[path.parent.name] = label
        file = path.relative_to(directory).as_posix()
        entries.append(_entry(file, fold[1], label))
    if len(labels) == 1:
        raise ValueError(
            f"{directory}: all files are in the folder {next(iter(labels))!r}; expected "
            "meta/esc50.csv, or a folder for each class."
        )
    return entries, tuple(dict.fromkeys(labels[name] for name in sorted(labels)))


def _audio_files(directory: pathlib.Path) -> Iterable[pathlib.Path]:
    return (
        path
        for path in directory.rglob("*")
        if path.suffix.lower() in SUFFIXES[SOUND] and path.is_file()
    )


def _entry(file: str, fold: str, label: str) -> Entry:
    stem = printable_name(pathlib.PurePosixPath(file).stem)
    return Entry(
        entry_id=stem,
        files=(file,),
        split=f"fold{fold}",
        labels=(label,),
        # FOLD-CLIP-TAKE-CLASS: takes of one recording.
        group="-".join(stem.split("-")[:2]),
    )
