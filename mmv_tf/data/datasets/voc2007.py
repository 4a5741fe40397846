# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""PASCAL VOC 2007: images with any of 20 classes.

As published: ImageSets/Main/CLASS_trainval.txt and CLASS_test.txt, and JPEGImages, also in
`VOC2007/` or `VOCdevkit/VOC2007/`. 1 means that the class is present, -1 that it is not, 0 that it
is present but difficult, which does not count either way. A folder without these lists is a
`data_dir` of TensorFlow Datasets.
"""

from __future__ import annotations

import pathlib

from mmv_tf.data.datasets import tables, tfds_images
from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.file_types import IMAGE
from mmv_tf.data.preparation.sources import Collection

CLASSES = tuple(
    """aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike
    person pottedplant sheep sofa train tvmonitor""".split()
)
_LISTS = tuple(f"{place}ImageSets/Main" for place in ("", "VOC2007/", "VOCdevkit/VOC2007/"))
_DIVISIONS = {"trainval-test": Division(("trainval",), ("test",))}


@DATA_SETS.register("voc2007")
def read(folder: Folder) -> Published | Collection:
    """Read the data set."""
    if not folder.division and not any((folder.directory / place).is_dir() for place in _LISTS):
        return tfds_images.read(folder.directory, folder.name)
    lists = folder.find(_LISTS, "folder of lists")
    found: dict[tuple[str, str], dict[str, str]] = {}
    for split in ("trainval", "test"):
        for label in CLASSES:
            path = lists / f"{label}_{split}.txt"
            for where, line in tables.read_lines(path):
                image, sign = _fields(line, path, where)
                signs = found.setdefault((image, split), {})
                if label in signs:
                    raise ValueError(f"{path}, {where}: {image} is listed twice.")
                signs[label] = sign
    _check_complete(found, lists)
    entries = tuple(
        Entry(
            entry_id=image,
            files=(f"JPEGImages/{image}.jpg",),
            split=split,
            labels=tuple(label for label, sign in signs.items() if sign == "1"),
            ignored=tuple(label for label, sign in signs.items() if sign == "0"),
            group=image,
        )
        for (image, split), signs in found.items()
    )
    return Published(entries, CLASSES, divisions=_DIVISIONS, kinds=(IMAGE,))


def _check_complete(found: dict[tuple[str, str], dict[str, str]], lists: pathlib.Path) -> None:
    """Check that each image is listed for every class; otherwise it would count as negative."""
    for (image, split), signs in found.items():
        missing = [label for label in CLASSES if label not in signs]
        if missing:
            raise ValueError(
                f"{lists / f'{missing[0]}_{split}.txt'}: lacks {image}, which other classes' lists "
                "contain; use the lists from one release."
            )


def _fields(line: str, path: pathlib.Path, where: str) -> tuple[str, str]:
    image, _, sign = line.replace("\t", " ").partition(" ")
    if sign.strip() not in ("-1", "0", "1"):
        raise ValueError(
            f"{path}, {where}: got {line[:80]!r}; expected an image's name and -1, 0 or 1."
        )
    return image, sign.strip()
