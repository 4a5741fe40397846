# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""MSR-VTT, division 1k-A: videos with sentences about the whole of each.

The test list is a table key, vid_key, video_id, sentence (`MSRVTT_JSFUSION_test.csv` or
`msrvtt_test.csv`): 1,000 videos with a sentence each. For training there may be
`MSRVTT_train.9k.csv` (video_id) with the published `MSRVTT_data.json`, whose "sentences" hold
caption and video_id. Videos are video123.mp4 in any folder below.
"""

from __future__ import annotations

import collections
import pathlib

from mmv_tf.data import captions as captions_lib
from mmv_tf.data.datasets import tables
from mmv_tf.data.preparation.sources import SUFFIXES, VIDEO, Collection, ListedClip, Source
from mmv_tf.util.safe_files import check_form, parse_json

_TEST = ("MSRVTT_JSFUSION_test.csv", "msrvtt_test.csv")
_TRAIN = ("MSRVTT_train.9k.csv",)
_SENTENCES = "MSRVTT_data.json"
_MAX_BYTES = 1 << 30


def read(directory: pathlib.Path) -> Collection:
    """Reads the data set from the folder that holds its lists and videos."""
    files = tables.files_by_stem(directory, SUFFIXES[VIDEO])
    test = tables.find_file(directory, _TEST, "test list")
    sources = [
        _source(directory, row["video_id"], (row["sentence"],), "test", files, row.get("key"))
        for _, row in tables.read_rows(test, ("video_id", "sentence"))
    ]
    train = next((directory / name for name in _TRAIN if (directory / name).is_file()), None)
    if train is not None:
        sentences = _sentences(directory / _SENTENCES)
        sources += [
            _source(directory, row["video_id"], tuple(sentences[row["video_id"]]), "train", files)
            for _, row in tables.read_rows(train, ("video_id",))
        ]
    return Collection("msrvtt", tuple(sources))


def _source(
    directory: pathlib.Path,
    video_id: str,
    sentences: tuple[str, ...],
    split: str,
    files: dict[str, pathlib.Path],
    example_id: str | None = None,
) -> Source:
    clip = ListedClip(texts=sentences, example_id=example_id)
    path = files.get(video_id, directory / f"{video_id}.mp4")
    return Source(video_id, path, split=split, clips=(clip,))


def _sentences(path: pathlib.Path) -> dict[str, list[str]]:
    """All sentences of each video, in the published order."""
    found: dict[str, list[str]] = collections.defaultdict(list)
    try:
        content = parse_json(captions_lib.read_text(path, _MAX_BYTES))
        check_form(content, {"sentences": [{"video_id": str, "caption": str}]})
    except ValueError as error:
        raise ValueError(f"{path}: not MSR-VTT's data ({error}); download it again.") from None
    for entry in content["sentences"]:
        found[entry["video_id"]].append(entry["caption"])
    return found
