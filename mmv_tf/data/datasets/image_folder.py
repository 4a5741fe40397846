# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Folders train/CLASS and val/CLASS (or test/CLASS) of images, like ImageNet's."""

from __future__ import annotations

from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.file_types import IMAGE, SUFFIXES
from mmv_tf.util.text_files import printable_name

_TESTED = ("val", "validation", "test")


@DATA_SETS.register("image_folder")
def read(folder: Folder) -> Published:
    """Read the folders; the first existing one of val, validation and test is the test set."""
    directory = folder.directory
    tested = next((name for name in _TESTED if name in folder.subfolders), None)
    if "train" not in folder.subfolders or tested is None:
        raise ValueError(
            f"{directory} needs a train folder and one of val, validation or test, each with one "
            f"subfolder per class; it has {list(folder.subfolders)}."
        )
    classes = tuple(
        sorted(printable_name(p.name) for p in (directory / "train").iterdir() if p.is_dir())
    )
    entries = []
    for split in ("train", tested):
        for path in sorted((directory / split).rglob("*")):
            if path.suffix.lower() not in SUFFIXES[IMAGE] or not path.is_file():
                continue
            file = path.relative_to(directory).as_posix()
            label = printable_name(path.parent.name)
            if label not in classes:
                raise ValueError(f"{path}: unknown class {label!r}; train/ has no such folder.")
            name = printable_name(file)
            entries.append(Entry(name, (file,), split, labels=(label,), group=name))
    divisions = {name: Division(("train",), (tested,)) for name in _TESTED}
    return Published(tuple(entries), classes, divisions=divisions, kinds=(IMAGE,))
