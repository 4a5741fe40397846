# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Kinetics-400, -600 and -700: ten seconds of an action out of a YouTube video each.

As published: lists `train.csv`, `validate.csv` (or `val.csv`), `test.csv`, also with a prefix such
as `kinetics_400_` and in `annotations/`, with the columns label, youtube_id, time_start, time_end,
split (and is_cc in some releases; the public test lists have no label). The videos may lie in
class folders or not, whole (ID.mp4) or trimmed as the usual download tools name them
(ID_000012_000022.mp4). Many are gone from YouTube: the report counts them as missing.
"""

from __future__ import annotations

import pathlib
import re

from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import SUFFIXES, VIDEO, Collection, ListedClip, Source

CLASSES = {"kinetics400": 400, "kinetics600": 600, "kinetics700": 700}
_SPLITS = {"train": "train", "val": "validation", "validate": "validation", "test": "test"}


def read(directory: pathlib.Path, name: str) -> Collection:
    """Reads one of the three data sets from the folder that holds its lists and videos."""
    lists = [
        path
        for folder in (directory, directory / "annotations")
        for path in sorted(folder.glob("*.csv"))
        if re.search(r"(^|_)(train|val|validate|test)$", path.stem)
    ]
    if not lists:
        raise ValueError(
            f"{directory}: no list found; expected train.csv, val.csv or test.csv in it or in "
            "annotations/."
        )
    files = tables.files_by_stem(directory, SUFFIXES[VIDEO])
    sources: dict[str, Source] = {}
    for path in lists:
        split = _SPLITS[path.stem.rpartition("_")[2]]
        for where, row in tables.read_rows(path, ("youtube_id", "time_start", "time_end")):
            start = tables.number(row["time_start"], path, where)
            end = tables.number(row["time_end"], path, where)
            source = _source(directory, row, split, start, end, files)
            if source.media_id in sources:
                raise ValueError(
                    f"{path}, {where}: {source.media_id} is listed twice; give one release's lists."
                )
            sources[source.media_id] = source
    labels = {label for source in sources.values() for label in source.labels}
    if len(labels) > CLASSES[name]:
        raise ValueError(
            f"{directory}: the lists name {len(labels)} classes; {name} has {CLASSES[name]}; "
            "choose the --dataset that the lists are of."
        )
    # The published order is the alphabet's. Part of the lists still gives consistent ids as long
    # as it has every class.
    return Collection(name, tuple(sources.values()), labels=tuple(sorted(labels)))


def _source(
    directory: pathlib.Path,
    row: dict[str, str],
    split: str,
    start: float,
    end: float,
    files: dict[str, pathlib.Path],
) -> Source:
    """The source of one row; of one without a file, the path is where it was looked for."""
    trimmed = f"{row['youtube_id']}_{start:06.0f}_{end:06.0f}"
    label = row.get("label", "").strip().strip('"')
    return Source(
        media_id=trimmed,
        path=files.get(trimmed) or files.get(row["youtube_id"]) or directory / f"{trimmed}.mp4",
        split=split,
        labels=(label,) if label else (),
        clips=None if trimmed in files else (ListedClip(start, end, may_be_trimmed=True),),
    )
