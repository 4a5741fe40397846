# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""YouCook2: steps of cooking videos, each with a sentence.

The lists are tables end, start, task, text, video_id, named by their split:
`validation_youcook.csv` and, if it is there, `train_youcook.csv` (or `validation.csv`,
`train.csv`). Videos are ID.mp4 or another kind, in any folder below, whole.
"""

from __future__ import annotations

import collections
import pathlib

from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import SUFFIXES, VIDEO, Collection, ListedClip, Source

_COLUMNS = ("video_id", "start", "end", "text")


def read(directory: pathlib.Path) -> Collection:
    """Reads the data set from the folder that holds its lists and videos."""
    files = tables.files_by_stem(directory, SUFFIXES[VIDEO])
    sources = []
    for split in ("train", "validation"):
        names = (f"{split}_youcook.csv", f"{split}.csv")
        path = next((directory / name for name in names if (directory / name).is_file()), None)
        if path is None:
            continue
        clips: dict[str, list[ListedClip]] = collections.defaultdict(list)
        for where, row in tables.read_rows(path, _COLUMNS):
            start, end = (tables.number(row[name], path, where) for name in ("start", "end"))
            clips[row["video_id"]].append(ListedClip(start, end, texts=(row["text"],)))
        sources += [
            Source(
                video_id,
                files.get(video_id, directory / f"{video_id}.mp4"),
                split=split,
                clips=tuple(own),
            )
            for video_id, own in clips.items()
        ]
    if not sources:
        raise ValueError(f"{directory}: no list found; expected validation_youcook.csv.")
    return Collection("youcook2", tuple(sources))
