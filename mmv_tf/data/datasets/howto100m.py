# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""HowTo100M: narrated instructional videos, cut by their narrations.

As published: `raw_caption.json` (or the processed `caption.json`), one object with lists "start",
"end" and "text" for each video id; or a folder `captions` with ID.csv (start, end, text) for each
video. `HowTo100M_v1.csv`, if present, lists the data set's ids. Videos are ID.mp4, .webm or another
type, in any subfolder. The narrations come from speech recognition: lines overlap, repeat each
other and may extend past the end. Lines without length or text are left out and counted, as are a
video's incomplete lists.

The data set has no published held-out videos. About one video in `VALIDATION_ONE_IN` forms the
split "validation", the others "train": a video is held out if the first 8 bytes of its id's
SHA-256, read as a big-endian number, are a multiple of that constant. So a video's split depends
only on its id, and clips of one video are never in both splits.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Iterator
from typing import Any

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Folder
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.data.preparation.sources import SUFFIXES, VIDEO, Collection, Source
from mmv_tf.util.storage.media import at_hand
from mmv_tf.util.text_files import printable_name, well_formed

_CAPTION_FILES = ("raw_caption.json", "caption.json", "captions")
_LISTS = ("start", "end", "text")
_READ_CHARACTERS = 1 << 20
# Ours: about 1,200 of the 1.2 million videos, about 100,000 clips.
VALIDATION_ONE_IN = 1000


def split_of(video_id: str, one_in: int = VALIDATION_ONE_IN) -> str:
    """Return a video's split, "train" or "validation", by the rule in the module's docstring.

    Args:
      video_id: the file's name without its suffix.
      one_in: about one video in this number is held out; 0 holds out none.
    """
    if not one_in:
        return "train"
    digest = hashlib.sha256(video_id.encode()).digest()
    return "train" if int.from_bytes(digest[:8], "big") % one_in else "validation"


@DATA_SETS.register("howto100m")
def read(folder: Folder) -> Collection:
    """Read the data set from the folder that holds its captions and videos."""
    directory, validation_one_in = folder.directory, folder.validation_one_in
    if validation_one_in is None:
        validation_one_in = VALIDATION_ONE_IN
    if validation_one_in < 0:
        raise ValueError(
            f"validation_one_in is {validation_one_in}; expected 0 (no held-out videos) or more."
        )
    captions = tables.find_file(directory, _CAPTION_FILES, "captions")
    files = tables.files_by_stem(directory, SUFFIXES[VIDEO])
    table = directory / "HowTo100M_v1.csv"
    if table.is_file():
        listed = {row["video_id"] for _, row in tables.read_rows(table, ("video_id",))}
        files = {stem: path for stem, path in files.items() if stem in listed}
    if not files:
        raise ValueError(
            f"{directory}: no videos from the data set found in this folder or its subfolders."
        )
    if captions.is_dir():
        sources = [
            Source(
                printable_name(stem),
                path,
                captions=beside if (beside := captions / f"{stem}.csv").is_file() else None,
                split=split_of(printable_name(stem), validation_one_in),
            )
            for stem, path in files.items()
        ]
    else:
        narrations = {
            key: _narrations(captions, key, value)
            for key, value in iterate_object(captions)
            if key in files
        }
        nothing = ((), captions_lib.LeftOut())
        sources = [
            Source(
                printable_name(stem),
                path,
                narrations=found,
                split=split_of(printable_name(stem), validation_one_in),
                left_out=left_out,
            )
            for stem, path in files.items()
            for found, left_out in (narrations.get(stem, nothing),)
        ]
    ordered = tuple(sorted(sources, key=lambda source: source.media_id))
    return Collection("howto100m", ordered, cut="caption")


def iterate_object(path: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) from a JSON file that is one object, one value at a time.

    `raw_caption.json` is gigabytes in size, and would need ten times that in memory.

    Raises:
      ValueError: the file is not an object, or is truncated.
    """
    decoder = json.JSONDecoder()
    wrong = f"{path}: not a complete JSON object; download the captions again."
    # "surrogateescape": bytes that are not UTF-8 affect one text, not the whole file.
    with (
        at_hand(path) as local,
        open(local, encoding="utf-8-sig", errors="surrogateescape") as file,
    ):
        text = file.read(_READ_CHARACTERS).lstrip()
        if not text.startswith("{"):
            raise ValueError(wrong)
        text = text[1:]
        while True:
            text = text.lstrip(" \t\r\n,")
            if text.startswith("}"):
                return
            try:
                key, at = decoder.raw_decode(text)
                rest = text[at:].lstrip()
                if rest[:1] not in ("", ":"):
                    raise ValueError(wrong)
                value, at = decoder.raw_decode(rest[1:].lstrip())
                rest = rest[1:].lstrip()[at:].lstrip()
                if not rest:
                    # A number may continue.
                    raise json.JSONDecodeError("more is needed", text, len(text))
                text = rest
            except json.JSONDecodeError:
                more = file.read(max(_READ_CHARACTERS, len(text)))
                if not more:
                    raise ValueError(wrong) from None
                text += more
                continue
            yield key, value


def _narrations(
    path: pathlib.Path, key: str, value: Any
) -> tuple[tuple[captions_lib.Caption, ...], captions_lib.LeftOut]:
    """Return a video's narrations, and the counts of narrations left out."""
    left_out = captions_lib.LeftOut()
    found = [value.get(name) if isinstance(value, dict) else None for name in _LISTS]
    lists = [rows for rows in found if isinstance(rows, list)]
    lengths = [len(rows) for rows in lists]
    if len(lists) < len(_LISTS) or len(set(lengths)) > 1:
        left_out.add(
            "captions_in_lists_of_unequal_length",
            f"{path}: the captions of {key} are not three lists (start, end and text) of equal "
            "length; download them again.",
            max(lengths, default=0) or 1,
        )
        return (), left_out
    narrations = []
    for number, (start, end, words) in enumerate(zip(*lists, strict=True), start=1):
        where = f"{path}: {key}, row {number}"
        try:
            if not isinstance(words, str):
                raise TypeError(f"the text is {words!r}")
            times = float(start), float(end)
        except (TypeError, ValueError, OverflowError) as error:
            left_out.add(captions_lib.UNREADABLE, f"{where}: {error}; download them again.")
            continue
        text = well_formed(" ".join(words.split()))
        odd = captions_lib.oddity(*times, text)
        if odd is None:
            narrations.append(captions_lib.Caption(*times, text))
        else:
            left_out.add(odd[0], f"{where}: the caption{odd[1]}.")
    return tuple(narrations), left_out
