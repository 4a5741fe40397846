# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""HMDB51: 6,766 clips of 51 actions with three official divisions.

As published: class folders `CLASS/FILE.avi` (under `hmdb51_org`, `videos` or the folder itself)
and `testTrainMulti_7030_splits/CLASS_test_splitN.txt` with lines "FILE.avi M", where M is 1 for
training, 2 for testing and 0 for neither. The same as one table, `hmdb51.csv` (video_id, label,
split1, split2, split3, labels as in "brush_hair_test"), is read too.
"""

from __future__ import annotations

import collections
import pathlib
import re
from collections.abc import Iterator

from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import Collection, Source

_PARTS = {"0": None, "1": "train", "2": "test"}


def read(directory: pathlib.Path) -> Collection:
    """Reads the data set from its folder."""
    videos = next(
        (directory / name for name in ("hmdb51_org", "videos") if (directory / name).is_dir()),
        directory,
    )
    memberships: dict[str, dict[str, str]] = collections.defaultdict(dict)
    for name, fold, part in _rows(directory):
        memberships[name] |= {fold: part} if part is not None else {}
    split_of, folds = tables.parts_and_folds(memberships)
    sources = tuple(
        Source(
            # Some names are in two classes.
            media_id=pathlib.PurePosixPath(name).with_suffix("").as_posix(),
            path=videos / name,
            split=split_of[name],
            labels=(name.split("/")[0],),
        )
        for name in sorted(memberships)
    )
    labels = tuple(sorted({source.labels[0] for source in sources}))
    return Collection("hmdb51", sources, labels=labels, folds=folds)


def _rows(directory: pathlib.Path) -> Iterator[tuple[str, str, str | None]]:
    """(CLASS/FILE, fold, part) of each line of the lists."""
    table = next(
        (p for p in (directory / "hmdb51.csv", directory / "splits" / "hmdb51.csv") if p.is_file()),
        None,
    )
    if table is not None:
        columns = ("video_id", "label", "split1", "split2", "split3")
        for where, row in tables.read_rows(table, columns):
            name = f"{row['label'].removesuffix('_test')}/{row['video_id']}"
            for fold in "123":
                yield name, fold, _part(row[f"split{fold}"], table, where)
        return
    lists = tables.find_file(
        directory,
        ["testTrainMulti_7030_splits", "test_train_splits", "splits", "hmdb51.csv"],
        "folder of lists",
    )
    found = False
    for path in sorted(lists.glob("*_test_split*.txt")):
        match = re.fullmatch(r"(.+)_test_split(\d)", path.stem)
        if match is None:
            continue
        found = True
        for where, line in tables.read_lines(path):
            file, _, number = line.rpartition(" ")
            yield f"{match[1]}/{file.strip()}", match[2], _part(number, path, where)
    if not found:
        raise ValueError(f"{lists}: no list found; expected CLASS_test_split1.txt and others.")


def _part(number: str, path: pathlib.Path, where: str) -> str | None:
    if number.strip() not in _PARTS:
        raise ValueError(f"{path}, {where}: got {number!r}; expected 0, 1 or 2 after the name.")
    return _PARTS[number.strip()]
