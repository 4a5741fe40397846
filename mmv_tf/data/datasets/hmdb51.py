# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""HMDB51: 6,766 clips of 51 actions with three official divisions.

As published: class folders `CLASS/FILE.avi` (under `hmdb51_org`, `videos` or the folder itself)
and `testTrainMulti_7030_splits/CLASS_test_splitN.txt` with lines "FILE.avi M", where M is 1 for
training, 2 for testing and 0 for neither. A single table with the same content, `hmdb51.csv`
(video_id, label, split1, split2, split3, labels as in "brush_hair_test"), is also read. Names of
clips from one video differ only in the last number.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import TEST, TRAIN, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS

_LISTS = (
    *("hmdb51.csv", "splits/hmdb51.csv"),
    *("testTrainMulti_7030_splits", "test_train_splits", "splits"),
)
_PARTS = {"0": "", "1": TRAIN, "2": TEST}


@DATA_SETS.register("hmdb51")
def read(folder: Folder) -> Published:
    """Read the data set; every clip has an entry for each division."""
    videos = next((f"{n}/" for n in ("hmdb51_org", "videos") if n in folder.subfolders), "")
    lists = folder.find(_LISTS, "folder of lists")
    entries = tuple(
        Entry(
            entry_id=file,
            files=(f"{videos}{label}/{file}",),
            split=part,
            fold=fold,
            # Some names occur in two classes.
            source_id=f"{label}/{pathlib.PurePosixPath(file).with_suffix('')}",
            labels=(label,),
            group=re.sub(r"_\d+(\.\w+)?$", "", file),
        )
        for label, file, fold, part in (_files if lists.is_dir() else _table)(lists)
    )
    return Published(entries)


def _table(path: pathlib.Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (class, file, division, part) from a table."""
    for where, row in tables.read_rows(path, ("video_id", "label")):
        for fold in "123":
            if f"split{fold}" in row:
                part = _part(row[f"split{fold}"], path, where)
                yield (
                    row["label"].strip().removesuffix("_test"),
                    row["video_id"].strip(),
                    fold,
                    part,
                )


def _files(lists: pathlib.Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield (class, file, division, part) from the text files in a folder."""
    found = False
    for path in sorted(lists.glob("*_test_split*.txt")):
        match = re.fullmatch(r"(.+)_test_split(\d)", path.stem)
        if match is None:
            continue
        found = True
        for where, line in tables.read_lines(path):
            file, _, number = line.replace("\t", " ").rpartition(" ")
            yield match[1], file.strip(" "), match[2], _part(number, path, where)
    if not found:
        raise ValueError(f"{lists}: no list found; expected CLASS_test_split1.txt and others.")


def _part(number: str, path: pathlib.Path, where: str) -> str:
    if number.strip() not in _PARTS:
        raise ValueError(f"{path}, {where}: got {number!r}; expected 0, 1 or 2 after the name.")
    return _PARTS[number.strip()]
