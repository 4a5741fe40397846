# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' own lists, in the form they were published in.

Each reader takes (data, lists, split): the folder of the media, the list's file or folder (None:
where the published archive has it inside the data's folder), and which of the official splits.
"""

from __future__ import annotations

import csv
import itertools
import math
import pathlib
import re
from collections.abc import Iterator
from typing import Any

from mmv_tf.data.datasets.audioset import trimmed_names
from mmv_tf.data.file_types import IMAGE, SOUND, SUFFIXES
from mmv_tf.evaluation.listing import TEST, TRAIN, Item, Listing, class_index
from mmv_tf.util.files import read_regular
from mmv_tf.util.text_files import printable_name

VOC_CLASSES = tuple(
    """aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike
    person pottedplant sheep sofa train tvmonitor""".split()
)
_DIGITS = 12  # ours, more than any index has
_MAX_LIST_BYTES = 1 << 30


def read_hmdb51(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """HMDB51: one table (video_id, label, split1, split2, split3), or the official text files.

    In both 1 means training, 2 test and 0 neither. The table's labels may end in "_test", after the
    names of the official files (CLASS_test_split1.txt). Clips of one film share all of their name
    but the last number.
    """
    lists = _default(lists, data, "hmdb51.csv", "testTrainMulti_7030_splits")
    rows: list[tuple[str, str, str]] = []
    if lists.is_dir():
        for path in sorted(lists.glob(f"*_test_split{split}.txt")):
            label = path.name.removesuffix(f"_test_split{split}.txt")
            rows += [(*_fields(line, 2, path), label) for line in _lines(path)]  # type: ignore[misc]
        if not rows:
            raise ValueError(f"{lists} holds no *_test_split{split}.txt.")
    else:
        table = _table(lists, "video_id", "label", f"split{split}")
        rows = [
            (row["video_id"], row[f"split{split}"], row["label"].removesuffix("_test"))
            for row in table
        ]
    classes = tuple(sorted({label for _, _, label in rows}))
    items = []
    for video, use, label in rows:
        if use not in ("0", "1", "2"):
            raise ValueError(f"{lists}: {video} has the use {use!r}; expected 0, 1 or 2.")
        if use != "0":
            group = re.sub(r"_\d+(\.\w+)?$", "", video)
            items.append(
                Item(video, f"{label}/{video}", TRAIN if use == "1" else TEST,
                     (classes.index(label),), group=group)
            )  # fmt: skip
    return Listing(f"HMDB51 split {split} in {lists}", classes, tuple(items))


def read_ucf101(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """UCF101: the folder ucfTrainTestlist (classInd.txt, trainlist01.txt, testlist01.txt, ...).

    Clips v_CLASS_gNN_cMM of one gNN come from one film.
    """
    lists = _default(lists, data, "ucfTrainTestlist")
    table = lists / "classInd.txt"
    names = [_fields(line, 2, table) for line in _lines(table)]
    wrong = next((number for number, _ in names if not number.isdecimal()), None)
    if wrong is not None:
        raise ValueError(f"{table}: expected the number of a class, got {wrong!r}.")
    classes = tuple(name for _, name in sorted(names, key=lambda pair: int(pair[0])))
    items = []
    for use, file in ((TRAIN, f"trainlist{int(split):02d}"), (TEST, f"testlist{int(split):02d}")):
        path = lists / f"{file}.txt"
        for line in _lines(path):
            video = _split(line)[0]
            label = class_index(classes, video.split("/")[0], str(path))
            group = re.sub(r"_c\d+\.\w+$", "", pathlib.PurePosixPath(video).name)
            items.append(Item(pathlib.PurePosixPath(video).stem, video, use, (label,), group=group))
    return Listing(f"UCF101 split {split} in {lists}", classes, tuple(items))


def read_kinetics(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """Kinetics: train.csv and `split`.csv (label, youtube_id, time_start, time_end, split).

    The videos are cut to the 10 s already; their usual names are ID_000010_000020, or just ID.
    """
    lists = _default(lists, data, "annotations", ".")
    rows = [
        (use, row, lists / f"{name}.csv")
        for use, name in ((TRAIN, "train"), (TEST, split))
        for row in _table(lists / f"{name}.csv", "label", "youtube_id", "time_start", "time_end")
    ]
    classes = tuple(sorted({row["label"] for use, row, _ in rows if use == TRAIN}))
    items = []
    for use, row, path in rows:
        first, last = (_seconds(row[key], path) for key in ("time_start", "time_end"))
        name = f"{row['youtube_id']}_{int(first):06d}_{int(last):06d}"
        label = class_index(classes, row["label"], str(path))
        items.append(Item(name, name, use, (label,), group=row["youtube_id"]))
    return Listing(f"Kinetics ({split}) in {lists}", classes, tuple(items))


def read_msrvtt(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """MSR-VTT 1k-A: a table (key, vid_key, video_id, sentence), one sentence a video."""
    lists = _default(lists, data, "msrvtt_test.csv", "MSRVTT_JSFUSION_test.csv")
    items = tuple(
        Item(row["key"], row["video_id"], group=row["video_id"], text=row["sentence"])
        for row in _table(lists, "key", "video_id", "sentence")
    )
    return Listing(f"MSR-VTT 1k-A in {lists}", (), _with_text(items, lists))


def read_youcook2(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """YouCook2's validation segments: a table (end, start, task, text, video_id).

    A segment may be listed twice with different sentences, so the line's number is in the id.
    """
    lists = _default(lists, data, "validation_youcook.csv")
    items = []
    for number, row in enumerate(_table(lists, "start", "end", "text", "video_id")):
        start, end = _seconds(row["start"], lists), _seconds(row["end"], lists)
        if not 0 <= start < end:
            raise ValueError(f"{lists}: line {number + 2} goes from {start:g} to {end:g} s.")
        video = row["video_id"]
        items.append(
            Item(f"{number:05d}_{video}_{start:g}_{end:g}", video, group=video, text=row["text"],
                 start=start, end=end)
        )  # fmt: skip
    return Listing(f"YouCook2 in {lists}", (), _with_text(tuple(items), lists))


def read_esc(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """ESC-50 or ESC-10, `split` being the fold that is tested on.

    Either the published archive (meta/esc50.csv and audio/), or a folder for each class in which a
    sound's name starts with the number of its fold and a dash.
    """
    table = lists or data / "meta" / "esc50.csv"
    rows: list[tuple[str, str, str]] = []
    if table.is_file():
        rows = [
            (row["filename"], row["fold"], row["category"])
            for row in _table(table, "filename", "fold", "category")
        ]
    else:
        for path in _files(data, SUFFIXES[SOUND]):
            fold = path.name.split("-")[0]
            if not fold.isdigit():
                raise ValueError(
                    f"{path}: the name does not start with its fold's number and a dash, as ESC's "
                    "do (1-100032-A.ogg)."
                )
            rows.append((path.relative_to(data).as_posix(), fold, path.parent.name))
    return _esc_listing(f"{data}, fold {split}", rows, split)


def read_esc10(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """As `read_esc`; of ESC-50's archive the part marked esc10."""
    table = lists or data / "meta" / "esc50.csv"
    if not table.is_file():
        return read_esc(data, lists, split)
    rows = [
        (row["filename"], row["fold"], row["category"])
        for row in _table(table, "filename", "fold", "category", "esc10")
        if row["esc10"].lower() == "true"
    ]
    return _esc_listing(f"ESC-10 in {table}, fold {split}", rows, split)


def _esc_listing(name: str, rows: list[tuple[str, str, str]], split: str) -> Listing:
    classes = tuple(sorted({label for _, _, label in rows}))
    items = tuple(
        Item(
            pathlib.PurePosixPath(file).stem,
            file,
            TEST if fold == split else TRAIN,
            (classes.index(label),),
            # FOLD-CLIP-TAKE-CLASS: takes of one recording.
            group="-".join(pathlib.PurePosixPath(file).stem.split("-")[:2]),
        )
        for file, fold, label in rows
    )
    if not any(item.split == TEST for item in items):
        raise ValueError(f"{name}: no sound is in that fold.")
    return Listing(name, classes, items)


def read_audioset(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """AudioSet: class_labels_indices.csv, `split`_segments.csv to learn from, eval_segments.csv.

    `split` is balanced_train or unbalanced_train. Media are named by YouTube's id, whole or cut to
    the segment, or as `prepare_data` finds those that are cut (ID_START, ID_START_END).
    """
    lists = _default(lists, data, ".")
    names = _table(lists / "class_labels_indices.csv", "index", "mid", "display_name")
    names.sort(key=lambda row: row["index"].zfill(_DIGITS))
    for index, row in enumerate(names):
        if row["index"] != str(index):
            raise ValueError(
                f"{lists / 'class_labels_indices.csv'}: expected the indices 0 to "
                f"{len(names) - 1}, got {row['index'][:20]!r}."
            )
    by_mid = {row["mid"]: index for index, row in enumerate(names)}
    classes = tuple(row["display_name"] for row in names)
    items = []
    for use, name in ((TRAIN, split), (TEST, "eval")):
        path = lists / f"{name}_segments.csv"
        for cells in _cells(csv.reader(_lines(path), skipinitialspace=True), path):
            if cells[0].startswith("#"):
                continue
            if len(cells) != 4:
                raise ValueError(f"{path}: {cells[0]} has {len(cells)} fields, expected 4.")
            mids = cells[3].split(",")
            unknown = [mid for mid in mids if mid not in by_mid]
            if unknown:
                raise ValueError(f"{path}: {cells[0]}: unknown class {unknown[0]!r}.")
            labels = tuple(sorted(by_mid[mid] for mid in mids))
            start, end = (_seconds(cell, path) for cell in cells[1:3])
            items.append(
                Item(
                    cells[0],
                    cells[0],
                    use,
                    labels,
                    group=cells[0],
                    start=start,
                    end=end,
                    other_files=(f"Y{cells[0]}", *trimmed_names(cells[0], start, end)),
                    may_be_trimmed=True,
                )
            )
    return Listing(f"AudioSet ({split}) in {lists}", classes, tuple(items))


def read_voc2007(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """PASCAL VOC 2007: ImageSets/Main/CLASS_trainval.txt and CLASS_test.txt, and JPEGImages.

    1 is there, -1 is not, 0 is there but difficult, which counts neither way.
    """
    lists = _default(lists, data, "ImageSets/Main", "VOC2007/ImageSets/Main",
                     "VOCdevkit/VOC2007/ImageSets/Main")  # fmt: skip
    found: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for use, name in ((TRAIN, "trainval"), (TEST, "test")):
        for index, label in enumerate(VOC_CLASSES):
            path = lists / f"{label}_{name}.txt"
            for line in _lines(path):
                image, sign = _fields(line, 2, path)
                labels, ignored = found.setdefault((image, use), ([], []))
                if sign not in ("-1", "0", "1"):
                    raise ValueError(f"{path}: {image} has {sign!r}; expected -1, 0 or 1.")
                if sign != "-1":
                    (labels if sign == "1" else ignored).append(index)
    items = tuple(
        Item(image, f"JPEGImages/{image}.jpg", use, tuple(labels), tuple(ignored), group=image)
        for (image, use), (labels, ignored) in found.items()
    )
    return Listing(f"VOC2007 in {lists}", VOC_CLASSES, items)


def read_image_folder(data: pathlib.Path, lists: pathlib.Path | None, split: str) -> Listing:
    """Folders train/CLASS and val/CLASS (or test/CLASS) of images, as ImageNet is laid out."""
    names = {child.name for child in data.iterdir() if child.is_dir()} if data.is_dir() else set()
    second = next((name for name in ("val", "validation", "test") if name in names), None)
    if "train" not in names or second is None:
        raise ValueError(
            f"{data} needs a folder train and one of val, validation or test, each with a folder "
            f"for every class; it has {sorted(names)}."
        )
    folders = (path for path in (data / "train").iterdir() if path.is_dir())
    classes = tuple(sorted(printable_name(path.name) for path in folders))
    items = []
    for use, folder in ((TRAIN, "train"), (TEST, second)):
        for path in _files(data / folder, SUFFIXES[IMAGE]):
            file = path.relative_to(data).as_posix()
            name = printable_name(file)
            label = class_index(classes, printable_name(path.parent.name), str(data / folder))
            items.append(Item(name, file, use, (label,), group=name))
    return Listing(str(data), classes, tuple(items))


def _with_text(items: tuple[Item, ...], path: pathlib.Path) -> tuple[Item, ...]:
    silent = [item.item_id for item in items if not item.text.strip()]
    if silent:
        raise ValueError(f"{path}: {silent[0]} has no sentence.")
    return items


def _default(lists: pathlib.Path | None, data: pathlib.Path, *names: str) -> pathlib.Path:
    if lists is not None:
        if not lists.exists():
            raise ValueError(f"There is no list at {lists}.")
        return lists
    for name in names:
        if (data / name).exists():
            return data / name
    raise ValueError(f"{data} holds no {' or '.join(names)}; say where the list is (--lists).")


def _lines(path: pathlib.Path) -> list[str]:
    """Lines that hold something, with their ends, which a quoted field may hold too."""
    if not path.exists():
        raise ValueError(f"There is no list at {path}.")
    try:
        text = read_regular(path, _MAX_LIST_BYTES).decode("utf-8-sig")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error.reason}).") from error
    # Not str.splitlines, which also splits at characters that sentences hold, U+2028 say.
    return [f"{line}\n" for line in text.split("\n") if line.strip()]


def _split(line: str) -> list[str]:
    """Fields between blanks and tabs; other spaces are part of a name."""
    return re.split("[ \t]+", line.strip(" \t\n"))


def _fields(line: str, count: int, path: pathlib.Path) -> list[str]:
    fields = _split(line)
    if len(fields) != count:
        raise ValueError(f"{path}: expected {count} fields, got {line.strip()!r}.")
    return fields


def _table(path: pathlib.Path, *columns: str) -> list[dict[str, str]]:
    """Rows of a CSV file that has at least these columns, each filled."""
    rows = _cells(csv.reader(_lines(path)), path)
    header = next(rows, [])
    missing = [name for name in columns if name not in header]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]!r}; it has {', '.join(header)}.")
    found = []
    for number, cells in enumerate(rows, start=2):
        row = dict(itertools.zip_longest(header, cells[: len(header)]))
        empty = [name for name in columns if not (row[name] or "").strip()]
        if empty:
            raise ValueError(f"{path}: line {number} has no {empty[0]!r}.")
        found.append({name: (row[name] or "").strip() for name in columns})
    return found


def _cells(reader: Any, path: pathlib.Path) -> Iterator[list[str]]:
    """The rows of a `csv.reader`, whose errors name the file."""
    try:
        yield from reader
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}; correct that line.") from None


def _seconds(text: str, path: pathlib.Path) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{path}: {text!r} is no number of seconds.")
    return seconds


def _files(directory: pathlib.Path, suffixes: tuple[str, ...]) -> Iterator[pathlib.Path]:
    """Files of some kinds in the folder and below, sorted."""
    if not directory.is_dir():
        raise ValueError(f"{directory} is no folder.")
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.suffix.lower() in suffixes:
            yield path
