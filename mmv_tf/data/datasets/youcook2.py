# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""YouCook2: steps in cooking videos, each with a sentence.

The lists are tables with the columns end, start, task, text and video_id, named after their split:
`validation_youcook.csv` and, optionally, `train_youcook.csv` (or `validation.csv`, `train.csv`).
Videos are whole, ID.mp4 or another type, in any subfolder. A step may be listed twice with
different sentences.
"""

from __future__ import annotations

from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS

_COLUMNS = ("video_id", "start", "end", "text")
_DIVISIONS = {"validation": Division(test=("validation",))}


@DATA_SETS.register("youcook2")
def read(folder: Folder) -> Published:
    """Read the data set."""
    entries = []
    for split in ("train", "validation"):
        path = folder.find_in_folder((f"{split}_youcook.csv", f"{split}.csv"))
        if path is None or not folder.wants(split, _DIVISIONS):
            continue
        for number, (where, row) in enumerate(tables.read_rows(path, _COLUMNS)):
            start, end = (tables.number(row[name], path, where) for name in ("start", "end"))
            video_id = row["video_id"]
            entries.append(
                Entry(
                    entry_id=f"{number:05d}_{video_id}_{start:g}_{end:g}",
                    files=(video_id,),
                    split=split,
                    source_id=video_id,
                    group=video_id,
                    texts=(row["text"],),
                    start=start,
                    end=end,
                )
            )
    if not entries:
        raise ValueError(f"{folder.directory}: no list found; expected validation_youcook.csv.")
    return Published(tuple(entries), divisions=_DIVISIONS)
