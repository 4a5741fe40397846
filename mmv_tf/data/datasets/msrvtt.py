# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MSR-VTT, division 1k-A: videos with sentences about each whole video.

The test list, `msrvtt_test.csv` or `MSRVTT_JSFUSION_test.csv`, is a table with the columns key,
vid_key, video_id and sentence: 1,000 videos with one sentence each. The optional training list is
`MSRVTT_train.9k.csv` (video_id) with the published `MSRVTT_data.json`, whose "sentences" hold
caption and video_id. Videos are video123.mp4 in any subfolder.
"""

from __future__ import annotations

import collections
import pathlib

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.datasets import tables
from mmv_tf.data.datasets.published import Division, Entry, Folder, Published
from mmv_tf.data.datasets.registry import DATA_SETS
from mmv_tf.util.safe_files import check_form, parse_json

_TEST = ("msrvtt_test.csv", "MSRVTT_JSFUSION_test.csv")
_TRAIN = ("MSRVTT_train.9k.csv",)
_SENTENCES = "MSRVTT_data.json"
_MAX_BYTES = 1 << 30
_DIVISIONS = {"1k-A": Division(test=("test",))}


@DATA_SETS.register("msrvtt")
def read(folder: Folder) -> Published:
    """Read the data set."""
    path = folder.find(_TEST, "test list")
    entries = []
    for _, row in tables.read_rows(path, ("video_id", "sentence")):
        key = row.get("key", "")
        entry = _entry(row["video_id"], "test", (row["sentence"],), key or None)
        entries.append(entry)
    train = folder.find_in_folder(_TRAIN)
    if train is not None and folder.wants("train", _DIVISIONS):
        sentences = _sentences(train.with_name(_SENTENCES))
        entries += [
            _entry(row["video_id"], "train", tuple(sentences[row["video_id"]]))
            for _, row in tables.read_rows(train, ("video_id",))
        ]
    return Published(tuple(entries), divisions=_DIVISIONS)


def _entry(
    video_id: str, split: str, texts: tuple[str, ...], example_id: str | None = None
) -> Entry:
    return Entry(
        entry_id=example_id or video_id,
        files=(video_id,),
        split=split,
        source_id=video_id,
        group=video_id,
        texts=texts,
        example_id=example_id,
    )


def _sentences(path: pathlib.Path) -> dict[str, list[str]]:
    """Return all sentences of each video, in the published order."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    try:
        content = parse_json(captions_lib.read_text(path, _MAX_BYTES))
        check_form(content, {"sentences": [{"video_id": str, "caption": str}]})
    except ValueError as error:
        raise ValueError(f"{path}: not MSR-VTT's data ({error}); download it again.") from None
    for entry in content["sentences"]:
        found[entry["video_id"]].append(entry["caption"])
    return found
