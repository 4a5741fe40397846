# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Kinetics-400, -600 and -700: ten-second clips of actions from YouTube videos.

As published: lists `train.csv`, `validate.csv` (or `val.csv`), `test.csv`, also with a prefix such
as `kinetics_400_` and in `annotations/`, with the columns label, youtube_id, time_start, time_end,
split (and is_cc in some releases; the public test lists have no label). Videos may be in class
folders, and are whole (ID.mp4) or trimmed, with the names that common download tools give them
(ID_000012_000022.mp4). The report counts videos no longer on YouTube as missing.
"""

from __future__ import annotations

import pathlib
import re

from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS

_CLASSES = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700}
_SPLITS = {"train": "train", "val": "validation", "validate": "validation", "test": "test"}
_DIVISIONS = {
    name: Division(("train",), (split,))
    for name, split in {**_SPLITS, "validation": "validation"}.items()
    if name != "train"
}


@DATA_SETS.register("kinetics400")
@DATA_SETS.register("kinetics600")
@DATA_SETS.register("kinetics700")
def read(folder: Folder) -> Published:
    """Read one of the three data sets."""
    entries: dict[str, Entry] = {}
    for path in _lists(folder.lists or folder.directory):
        split = _SPLITS[path.stem.rpartition("_")[2]]
        if not folder.wants(split, _DIVISIONS):
            continue
        for where, row in tables.read_rows(path, ("youtube_id", "time_start", "time_end")):
            start = tables.number(row["time_start"], path, where)
            end = tables.number(row["time_end"], path, where)
            entry = _entry(row, split, start, end)
            if entry.entry_id in entries:
                raise ValueError(
                    f"{path}, {where}: {entry.entry_id} is listed twice; use the lists from one "
                    "release."
                )
            entries[entry.entry_id] = entry
    labels = {label for entry in entries.values() for label in entry.labels}
    if len(labels) > _CLASSES[folder.name]:
        raise ValueError(
            f"{folder.directory}: the lists name {len(labels)} classes; {folder.name} has "
            f"{_CLASSES[folder.name]}; choose the data set that the lists belong to."
        )
    # The published order is alphabetical. A subset of the lists yields the same ids if it has all
    # classes.
    return Published(tuple(entries.values()), divisions=_DIVISIONS)


def _lists(place: pathlib.Path) -> list[pathlib.Path]:
    found = [
        path
        for folder in (place, place / "annotations")
        for path in sorted(folder.glob("*.csv"))
        if re.search(r"(^|_)(train|val|validate|test)$", path.stem)
    ]
    if not found:
        raise ValueError(
            f"{place}: no list found; expected train.csv, val.csv or test.csv in this folder "
            "or in annotations/."
        )
    return found


def _entry(row: dict[str, str], split: str, start: float, end: float) -> Entry:
    youtube_id = row["youtube_id"].strip()
    trimmed = f"{youtube_id}_{start:06.0f}_{end:06.0f}"
    label = row.get("label", "").strip().strip('"')
    return Entry(
        entry_id=trimmed,
        files=(trimmed, youtube_id),
        split=split,
        labels=(label,) if label else (),
        group=youtube_id,
        start=start,
        end=end,
        trimmed=(trimmed,),
    )
