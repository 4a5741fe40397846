# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""UCF101: 13,320 clips of 101 actions with three official train/test lists.

As published: the folder `UCF-101/CLASS/v_CLASS_gNN_cNN.avi` and `ucfTrainTestlist/` with
`classInd.txt` ("1 ApplyEyeMakeup"), `trainlist01.txt` ("CLASS/FILE.avi 1") and `testlist01.txt`
("CLASS/FILE.avi") to 03.
"""

from __future__ import annotations

import collections
import pathlib

from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import Collection, Source


def read(directory: pathlib.Path) -> Collection:
    """Reads the data set from the folder that holds both of its folders."""
    videos = tables.find_file(directory, ["UCF-101", "videos"], "folder of videos")
    lists = tables.find_file(directory, ["ucfTrainTestlist", "splits"], "folder of lists")
    classes = _classes(lists / "classInd.txt")
    memberships: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for path in sorted(lists.glob("t*list*.txt")):
        part, fold = path.stem[:-2].removesuffix("list"), str(int(path.stem[-2:]))
        for where, line in tables.read_lines(path):
            name = line.split()[0]
            if name.split("/")[0] not in classes:
                raise ValueError(
                    f"{path}, {where}: got {line!r}; expected CLASS/FILE with a class of "
                    "classInd.txt; take the list as it was published."
                )
            memberships[name][fold] = part
    if not memberships:
        raise ValueError(f"{lists}: no trainlist01.txt or testlist01.txt found.")
    split_of, folds = tables.parts_and_folds(memberships)
    sources = tuple(
        Source(
            media_id=pathlib.PurePosixPath(name).stem,
            path=videos / name,
            split=split_of[name],
            labels=(name.split("/")[0],),
        )
        for name in sorted(memberships)
    )
    return Collection("ucf101", sources, labels=tuple(classes), folds=folds)


def _classes(path: pathlib.Path) -> list[str]:
    """Names by the published number, which begins at 1; ids begin at 0."""
    pairs = []
    for where, line in tables.read_lines(path):
        number, _, name = line.partition(" ")
        pairs.append((tables.number(number, path, where), name.strip()))
    return [name for _, name in sorted(pairs)]
