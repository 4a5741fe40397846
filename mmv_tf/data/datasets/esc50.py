# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""ESC-50 and ESC-10: five seconds of environmental sound each, in five official folds.

As published: `audio/FOLD-CLIP-TAKE-TARGET.wav` with `meta/esc50.csv` (filename, fold, target,
category, esc10, src_file, take). Without the table, the fold is the first number of a file's name
and the class is its folder, "001 - Dog bark", whose number gives the order: the layout of the
first ESC-10 release.
"""

from __future__ import annotations

import pathlib
import re

from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import SOUND, SUFFIXES, Collection, Source
from mmv_tf.util.text_files import printable_name

_COLUMNS = ("filename", "fold", "target", "category", "esc10")


def read(directory: pathlib.Path, name: str) -> Collection:
    """Reads ESC-50 or its part ESC-10 from the data set's folder."""
    table = directory / "meta" / "esc50.csv"
    if table.is_file():
        sources, labels = _from_table(directory, table, only_esc10=name == "esc10")
    else:
        sources, labels = _from_folders(directory)
    if not sources:
        raise ValueError(
            f"{directory}: no sound found; expected meta/esc50.csv and audio/, or folders such as "
            "'001 - Dog bark' with 1-100032-A.ogg."
        )
    numbers = sorted({source.split for source in sources if source.split})
    folds = {
        number.removeprefix("fold"): {
            "train": "+".join(other for other in numbers if other != number),
            "test": number,
        }
        for number in numbers
    }
    return Collection(name, tuple(sources), labels=tuple(labels), folds=folds)


def _from_table(
    directory: pathlib.Path, table: pathlib.Path, only_esc10: bool
) -> tuple[list[Source], list[str]]:
    """By meta/esc50.csv; ids are those of `target`, for ESC-10 in the same order without gaps."""
    sources, names = [], {}
    for where, row in tables.read_rows(table, _COLUMNS):
        if only_esc10 and row["esc10"].lower() != "true":
            continue
        names[int(tables.number(row["target"], table, where))] = row["category"]
        file = row["filename"]
        sources.append(
            Source(
                media_id=pathlib.PurePosixPath(file).stem,
                path=directory / "audio" / file,
                kind=SOUND,
                split=f"fold{int(tables.number(row['fold'], table, where))}",
                labels=(row["category"],),
            )
        )
    return sources, [names[target] for target in sorted(names)]


def _from_folders(directory: pathlib.Path) -> tuple[list[Source], list[str]]:
    """By the names of folders and files."""
    sources, labels = [], []
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        numbered = re.fullmatch(r"\d+ - (.+)", folder.name)
        if numbered is None:
            continue
        labels.append(printable_name(numbered[1]))
        for path in sorted(folder.iterdir()):
            fold = re.match(r"(\d+)-", path.name)
            if path.suffix.lower() in SUFFIXES[SOUND] and fold is not None:
                sources.append(
                    Source(
                        printable_name(path.stem),
                        path,
                        kind=SOUND,
                        split=f"fold{fold[1]}",
                        labels=(labels[-1],),
                    )
                )
    return sources, labels
