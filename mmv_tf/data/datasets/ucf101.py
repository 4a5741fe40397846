# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""UCF101: 13,320 clips of 101 actions with three official train/test lists.

As published: the folder `UCF-101/CLASS/v_CLASS_gNN_cNN.avi` (class folders in `videos` or in the
folder itself are also found) and `ucfTrainTestlist/` with `classInd.txt` ("1 ApplyEyeMakeup"),
`trainlist01.txt` ("CLASS/FILE.avi 1") and `testlist01.txt` ("CLASS/FILE.avi") to 03. Clips with the
same gNN come from one video.
"""

from __future__ import annotations

import pathlib
import re

from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS


@DATA_SETS.register("ucf101")
def read(folder: Folder) -> Published:
    """Read the data set; every clip has an entry for each division."""
    videos = next((f"{n}/" for n in ("UCF-101", "videos") if n in folder.subfolders), "")
    lists = folder.find(("ucfTrainTestlist", "splits"), "folder of lists")
    classes = _classes(lists / "classInd.txt")
    entries = []
    # Training lists come first.
    for path in sorted(lists.glob("t*list*.txt"), key=lambda path: path.stem, reverse=True):
        match = re.fullmatch(r"(train|test)list(\d+)", path.stem)
        if match is None:
            continue
        for where, line in tables.read_lines(path):
            name = re.split("[ \t]+", line)[0]
            label = name.split("/")[0]
            if label not in classes:
                raise ValueError(
                    f"{path}, {where}: got {line!r}; expected CLASS/FILE with a class from "
                    "classInd.txt; use the list as it was published."
                )
            stem = pathlib.PurePosixPath(name).stem
            entries.append(
                Entry(
                    entry_id=stem,
                    files=(f"{videos}{name}",),
                    split=match[1],
                    fold=str(int(match[2])),
                    labels=(label,),
                    group=re.sub(r"_c\d+$", "", stem),
                )
            )
    if not entries:
        raise ValueError(f"{lists}: no trainlist01.txt or testlist01.txt found.")
    return Published(tuple(entries), classes)


def _classes(path: pathlib.Path) -> tuple[str, ...]:
    """Return names in the order of the published numbers, which start at 1; indices start at 0."""
    rows = []
    for where, line in tables.read_lines(path):
        number, _, name = line.replace("\t", " ").partition(" ")
        rows.append((where, number, name.strip()))
    return tables.classes_by_number(rows, path)
