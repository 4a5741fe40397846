# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads labeled clips from a folder with one subfolder per class, or from a CSV."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator

from mmv_tf.classification.labels import (
    MODALITIES,
    SPLITS,
    TRAIN,
    Clip,
    LabeledClips,
    check_spellings,
    named,
)
from mmv_tf.data.captions import listed_seconds
from mmv_tf.data.file_types import IMAGE as IMAGE_FILE
from mmv_tf.data.file_types import SOUND, kind_of
from mmv_tf.data.file_types import VIDEO as VIDEO_FILE
from mmv_tf.inference.network import AUDIO, IMAGE, VIDEO
from mmv_tf.util.text_files import printable_name, read_cells, read_text, well_formed

COLUMNS = ("path", "start", "end", "label", "split", "group")
TABLES = (".csv", ".tsv")
SEPARATOR = ";"
_MAX_BYTES = 1 << 30  # Ours; a row of a hundred bytes needs about a kilobyte of memory.
# File type -> modality, and the file types that each modality is read from.
_MODALITY = {VIDEO_FILE: VIDEO, SOUND: AUDIO, IMAGE_FILE: IMAGE}
_KINDS = {VIDEO: (VIDEO_FILE,), AUDIO: (SOUND, VIDEO_FILE), IMAGE: (IMAGE_FILE,)}


def read_labels(
    source: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str] | None = None,
    modality: str | None = None,
    multi_label: bool | None = None,
) -> LabeledClips:
    """Read labeled clips.

    Args:
      source: a folder with one subfolder of files per class, optionally within folders "train",
        "validation" and "test"; or a CSV or TSV with the columns `COLUMNS`, of which only path and
        label are required. Several labels in a row are separated by ";", and rows with the same
        path, start and end are one clip.
      data: folder that a CSV's paths are relative to; by default, the CSV's own folder.
      modality: "video", "audio" or "image"; by default, inferred from the files' suffixes. Audio is
        also read from videos.
      multi_label: whether a clip may have any number of labels; by default, True if any clip does.

    Raises:
      ValueError: the labels can't be read, or contradict each other; the message gives the place.
    """
    path = pathlib.Path(source)
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"The modality is {modality!r}; use one of {', '.join(MODALITIES)}.")
    if path.is_dir():
        if data is not None:
            raise ValueError(
                f"{path} is a folder of classes, but data applies only to the paths in a CSV; omit "
                "data."
            )
        everything = _read_folder(path)
        clips, modality, others = _of_one_modality(printable_name(path), everything, modality)
        lost = sorted(_labels_of(everything) - _labels_of(clips))
        if lost:
            raise ValueError(
                f"{path}: {named(lost)} {'have' if lost[1:] else 'has'} no {modality} files; add "
                f"some, or remove the folder{'s' if lost[1:] else ''}."
            )
    else:
        clips = _read_table(path, path.parent if data is None else pathlib.Path(data))
        clips, modality, others = _of_one_modality(printable_name(path), clips, modality)
        if others:
            raise ValueError(
                f"{path}: {named(others)} can't be read as {modality}; remove the rows, or set "
                "another modality."
            )
    if modality == IMAGE and not all(clip.whole for clip in clips):
        raise ValueError(f"{path}: images have no start and end; remove them.")
    several = any(len(clip.labels) > 1 for clip in clips)
    return LabeledClips(
        source=printable_name(path),
        clips=tuple(clips),
        labels=tuple(sorted(_labels_of(clips))),
        modality=modality,
        multi_label=several if multi_label is None else multi_label,
        left_out=others,
    )


def media_files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yield the visible files in a folder and its subfolders, sorted; links are not followed."""
    for directory, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield pathlib.Path(directory, name)


def modality_of(path: pathlib.Path) -> str | None:
    """Return the modality that a file's suffix implies, or None for other file types."""
    return _MODALITY.get(kind_of(path) or "")


def readable_as(path: pathlib.Path, modality: str) -> bool:
    """Return whether a modality can be read from files with this suffix."""
    return kind_of(path) in _KINDS[modality]


def _read_folder(root: pathlib.Path) -> list[Clip]:
    """Return all media files in the class folders."""
    inner = _subfolders(root)
    splits = {"val": "validation", "valid": "validation", **{split: split for split in SPLITS}}
    divided = "train" in [folder.name for folder in inner] and all(
        folder.name in splits for folder in inner
    )
    clips: list[Clip] = []
    for outer in inner if divided else [root]:
        classes = _subfolders(outer)
        if not classes:
            raise ValueError(
                f"{outer}: has no subfolders; expected one per class, or a CSV with paths and "
                "labels."
            )
        loose = [path.name for path in outer.iterdir() if path.is_file() and kind_of(path)]
        if loose:
            raise ValueError(
                f"{outer}: {named(sorted(map(printable_name, loose)))} "
                f"{'are' if loose[1:] else 'is'} not in a class folder; move each file to the "
                "folder of its class."
            )
        for folder in classes:
            label = printable_name(folder.name)
            found = [path for path in media_files(folder) if kind_of(path)]
            if not found:
                raise ValueError(
                    f"{folder}: the class {label!r} is empty; expected videos, audio or images; "
                    "add some, or remove the folder."
                )
            clips += [
                Clip(
                    path=pathlib.Path(os.path.realpath(path)),
                    name=printable_name(path.relative_to(root)),
                    labels=(label.strip(),),
                    split=splits[outer.name] if divided else TRAIN,
                )
                for path in found
            ]
        check_spellings((printable_name(folder.name) for folder in classes), str(outer))
    return clips


def _subfolders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _labels_of(clips: Iterable[Clip]) -> set[str]:
    return {label for clip in clips for label in clip.labels}


def _of_one_modality(
    source: str, clips: Iterable[Clip], modality: str | None
) -> tuple[list[Clip], str, tuple[str, ...]]:
    """Return the clips of the modality, the modality, and the names of the other files."""
    clips = list(clips)
    kinds = collections.Counter(kind_of(clip.path) for clip in clips)
    if modality is None:
        unknown = [clip.name for clip in clips if kind_of(clip.path) is None]
        if unknown:
            raise ValueError(
                f"{source}: {named(unknown)} has no known video, audio or image suffix; "
                "correct the path, or set the modality."
            )
        if len(kinds) > 1:
            counts = " and ".join(f"{n} {kind}" for kind, n in sorted(kinds.items()))
            raise ValueError(
                f"{source}: holds {counts} files; set the modality: {', '.join(MODALITIES)}."
            )
        modality = _MODALITY[str(next(iter(kinds)))]
    kept = [clip for clip in clips if kind_of(clip.path) in (*_KINDS[modality], None)]
    others = sorted({clip.name for clip in clips} - {clip.name for clip in kept})
    if not kept:
        raise ValueError(f"{source}: contains no {modality} files; check the modality.")
    return kept, modality, tuple(others)


def _read_table(path: pathlib.Path, data: pathlib.Path) -> list[Clip]:
    if path.suffix.lower() not in TABLES:
        raise ValueError(
            f"{path}: expected a folder with one subfolder per class, or a list ending in "
            f"{' or '.join(TABLES)}."
        )
    rows = [_Row.read(path, data, number, cells) for number, cells in _cells(path)]
    check_spellings((name for row in rows for name in row.spellings), str(path))
    missing = list(dict.fromkeys(row.name for row in rows if not row.path.is_file()))
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} of the files are missing: {named(missing)}; correct the "
            f"paths, which are relative to {data}."
        )
    groups: dict[pathlib.Path, str] = {}
    merged: dict[tuple[pathlib.Path, float, float | None, str], _Row] = {}
    for row in rows:
        if groups.setdefault(row.path, row.group) != row.group:
            raise ValueError(
                f"{row.where}: {row.name!r} is in the groups {groups[row.path]!r} and "
                f"{row.group!r}; expected one group for all rows of a file."
            )
        # A clip in two splits stays two clips, which are reported with all others.
        key = row.path, row.start, row.end, row.split
        merged[key] = merged[key].with_labels(row) if key in merged else row
    if not merged:
        raise ValueError(f"{path}: the list has no rows; expected one per clip.")
    return [row.clip() for row in merged.values()]


@dataclasses.dataclass(frozen=True)
class _Row:
    """A table row: a clip, its labels as spelled in the row, and its position."""

    where: str
    path: pathlib.Path
    name: str
    start: float
    end: float | None
    split: str
    group: str
    labels: tuple[str, ...]
    spellings: tuple[str, ...]

    @classmethod
    def read(
        cls, table: pathlib.Path, data: pathlib.Path, number: int, cells: dict[str, str]
    ) -> _Row:
        """Return a checked row."""
        where = f"{table}, line {number}"
        name = cells["path"].strip()
        if not name:
            raise ValueError(f"{where}: the path is empty; add one.")
        start = _seconds(cells.get("start", ""), where)
        end = _seconds(cells.get("end", ""), where)
        if end is not None and end <= (start or 0.0):
            raise ValueError(
                f"{where}: the clip starts at {start or 0:g} s and ends at {end:g} s; expected an "
                "end after the start; correct that line."
            )
        split = cells.get("split", "").strip() or TRAIN
        if split not in SPLITS:
            raise ValueError(
                f"{where}: got the split {split!r}; expected one of {', '.join(SPLITS)}."
            )
        text = well_formed(cells["label"])
        pieces = [piece.strip() for piece in text.split(SEPARATOR) if piece.strip()]
        if not pieces and SEPARATOR in text:
            raise ValueError(f"{where}: got the labels {text!r}; expected names separated by ';'.")
        return cls(
            where=where,
            path=pathlib.Path(os.path.realpath(data / name)),
            name=printable_name(name),
            start=start or 0.0,
            end=end,
            split=split,
            group=well_formed(cells.get("group", "").strip()),
            labels=tuple(dict.fromkeys(pieces)),
            # Kept as written, so that "dog" and "dog " in two rows are reported, not merged.
            spellings=tuple(pieces) if SEPARATOR in text or not pieces else (text,),
        )

    def with_labels(self, other: _Row) -> _Row:
        """Return this row with the labels of another row for the same clip added."""
        labels = tuple(dict.fromkeys((*self.labels, *other.labels)))
        return dataclasses.replace(self, labels=labels)

    def clip(self) -> Clip:
        """Return the clip."""
        return Clip(self.path, self.name, self.labels, self.split, self.start, self.end, self.group)


def _cells(path: pathlib.Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, cells by column) for each row."""
    rows = read_cells(path, read_text(path, _MAX_BYTES))
    header = [name.strip().lower() for name in next(rows, (1, [""]))[1]]
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        raise ValueError(
            f"{path}, line 1: got the column {unknown[0][:80]!r}; expected {', '.join(COLUMNS)}."
        )
    for name in COLUMNS:
        if header.count(name) != 1 and (name in ("path", "label") or name in header):
            problem = "twice" if name in header else "no"
            raise ValueError(
                f"{path}, line 1: {problem} column {name!r}; expected path, label and optionally "
                "start, end, split and group, each once."
            )
    for number, cells in rows:
        if len(cells) != len(header):
            raise ValueError(
                f"{path}, line {number}: got {len(cells)} columns; expected the header's "
                f"{len(header)}; correct that line, and quote names that contain commas."
            )
        yield number, dict(zip(header, cells, strict=True))


def _seconds(text: str, where: str) -> float | None:
    return listed_seconds(text.strip(), where) if text.strip() else None
