# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""An index's manifest: its videos, their rows, and checksums."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from typing import Any

import google_crc32c

from mmv_tf.inference.windows import Windows
from mmv_tf.search.folders import Folders
from mmv_tf.util.safe_files import NUMBER, Count, Name, Positive, check_form, parse_json
from mmv_tf.util.storage.urls import is_remote, local_of, url_of

# Format 1 had vectors in float32 and one folder, "root".
FORMAT = 2
_READ = (1, 2)
# Options of a model that are paths.
_PATHS = ("vocabulary", "image_model")
_FILE = {"name": str, "size": Count, "mtime_ns": int}
_VIDEO = {
    **_FILE,
    "duration": NUMBER,
    "has_audio": bool,
    "segment": Name,
    "first": Count,
    "count": Count,
    "captions?": (str, None),
    "sha256?": (str, None),
    "said?": (
        None,
        {
            "part": str,
            "first": Count,
            "count": Count,
            "size": Count,
            "mtime_ns": int,
            "transcriber": str,
        },
    ),
}
_SUMS = {"bytes": Count, "crc32c": Count}
_FORM = {
    "generation": Count,
    "roots": {str: str},
    "shard?": (str, None),
    "model": str,
    "fingerprint": str,
    "windows": {
        "num_frames": Count,
        "frame_rate": Positive,
        "size": Count,
        "square_crop": bool,
        "step_frames": Count,
        "sample_rate": Count,
    },
    "matrices": {str: Count},
    "videos": [_VIDEO],
    "skipped": [{**_FILE, "reason": str}],
    "segments?": {str: {str: _SUMS}},
    "speech?": {str: _SUMS},
    "options?": {},
    "frames_per_second?": NUMBER,
    "labels?": ({"path": str, "fingerprint": str, "modality": str, "names": [str]}, None),
}
# Name of the matrix with the label scores.
LABELS = "labels"


@dataclasses.dataclass(frozen=True)
class Said:
    """A video's speech cues, in a file that `speech` wrote.

    Attributes:
      part: the file's name; "" if there are no cues.
      first, count: first row and number of cues.
      size, mtime_ns: the captions' size and modification time, to detect changes.
      transcriber: what made a transcript, see `Transcriber.key`; "" for captions.
    """

    part: str
    first: int
    count: int
    size: int = 0
    mtime_ns: int = 0
    transcriber: str = ""


@dataclasses.dataclass(frozen=True)
class Video:
    """A video in the index.

    Attributes:
      name, size, mtime_ns, captions: see `files.VideoFile`.
      duration: duration in seconds.
      has_audio: whether it has an audio track.
      segment: the segment with its windows.
      first, count: first row and number of rows.
      sha256: hexadecimal SHA-256 of the file; None in indexes from earlier versions.
      said: speech cues, once they are indexed.
    """

    name: str
    size: int
    mtime_ns: int
    duration: float
    has_audio: bool
    segment: str
    first: int
    count: int
    captions: str | None = None
    sha256: str | None = None
    said: Said | None = None


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A file that could not be indexed, and is not retried until it changes."""

    name: str
    size: int
    mtime_ns: int
    reason: str


@dataclasses.dataclass(frozen=True)
class IndexedLabels:
    """The classifier whose scores for each window are in an index.

    Attributes:
      path, fingerprint: its file and fingerprint.
      modality: "video" or "audio".
      names: labels, in the order of the scores.
    """

    path: str
    fingerprint: str
    modality: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Manifest:
    """An index's content.

    Attributes:
      generation: number that each update increments.
      roots: label -> folder, see `folders`.
      model, fingerprint: the model's path and fingerprint.
      windows: settings for cutting videos into windows.
      matrices: "MODALITY.SPACE" -> dimensions.
      videos, skipped: videos and skipped files by name.
      segments: name -> file -> {"bytes", "crc32c"}.
      options: options with which the model was opened, arguments of `mmv_tf.load_encoder`.
      labels: classifier for the windows, if there is one.
      shard: share of the files, such as "2/4"; None means all.
      frames_per_second: minimum frames per second that are described, see `frames`; 0 for none.
      speech: speech files: name -> {"bytes", "crc32c"}.
    """

    generation: int
    roots: dict[str, str]
    model: str
    fingerprint: str
    windows: Windows
    matrices: dict[str, int]
    videos: tuple[Video, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    segments: dict[str, dict[str, dict[str, Any]]] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    labels: IndexedLabels | None = None
    shard: str | None = None
    frames_per_second: float = 0.0
    speech: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def folders(self) -> Folders:
        """The videos' folders."""
        return Folders(self.roots)

    @property
    def columns(self) -> dict[str, int]:
        """Columns of each stored matrix, including the label scores."""
        if self.labels is None:
            return self.matrices
        return {**self.matrices, LABELS: len(self.labels.names)}

    @property
    def rows(self) -> int:
        """The number of windows in all videos."""
        return sum(video.count for video in self.videos)

    def kept_in(self, folders: Folders) -> Manifest:
        """Return the same index without the files in other folders; labels do not change."""
        videos = tuple(one for one in self.videos if self.folders.label(one.name) in folders.roots)
        skipped = tuple(
            one for one in self.skipped if self.folders.label(one.name) in folders.roots
        )
        return dataclasses.replace(self, roots=dict(folders.roots), videos=videos, skipped=skipped)

    def in_folders(self, folders: Folders) -> Manifest:
        """Return the same index with more folders, which may change the names of its files."""
        if folders.roots == self.roots:
            return self
        new = functools.partial(self.folders.relabeled, folders=folders)
        videos = tuple(
            dataclasses.replace(
                video,
                name=new(video.name),
                captions=None if video.captions is None else new(video.captions),
            )
            for video in self.videos
        )
        skipped = tuple(dataclasses.replace(one, name=new(one.name)) for one in self.skipped)
        return dataclasses.replace(self, roots=dict(folders.roots), videos=videos, skipped=skipped)

    def to_json(self) -> str:
        """Return the text that `from_json` reads, with a checksum."""
        values = _with_paths(dataclasses.asdict(self), lambda path: url_of(path) or path)
        body = json.dumps({"format": FORMAT, **values}, sort_keys=True)
        return f'{{"crc32c": {google_crc32c.value(body.encode())}, "index":\n{body}\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Parse and check the text from `to_json`.

        Raises:
          ValueError: the text is damaged or from a later version.
        """
        try:
            document = parse_json(text)
            check_form(document, {"crc32c": Count, "index": {"format": Count}})
            body = text.split("\n")[1]
        except (ValueError, IndexError) as error:
            raise ValueError("the manifest is damaged") from error
        values = document["index"]
        if document["crc32c"] != google_crc32c.value(body.encode()):
            raise ValueError("the manifest's checksum does not match")
        version = values.pop("format")
        if version not in _READ:
            raise ValueError(f"it has format {version}; expected at most {FORMAT}")
        if "root" in values:
            values["roots"] = {"": values.pop("root")}
        check_form(values, _FORM)
        values = _with_paths(values, local_of)
        labels = values.pop("labels", None)
        try:
            if labels is not None:
                labels = IndexedLabels(**{**labels, "names": tuple(labels["names"])})
            return cls(
                **{
                    **values,
                    "windows": Windows(**values["windows"]),
                    "videos": tuple(_video(entry) for entry in values["videos"]),
                    "skipped": tuple(Skipped(**entry) for entry in values["skipped"]),
                    "labels": labels,
                }
            )
        except TypeError as error:
            raise ValueError("the manifest has entries of a later version") from error


def _with_paths(values: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """Change the paths in a manifest. On the disk, those of a store's mirror are URLs."""
    values = {**values, "model": change(values["model"])}
    values["roots"] = {label: change(root) for label, root in values["roots"].items()}
    values["options"] = {
        name: change(value) if name in _PATHS else value
        for name, value in values["options"].items()
    }
    if values.get("labels") is not None:
        values["labels"] = {**values["labels"], "path": change(values["labels"]["path"])}
    values["videos"] = [
        {**video, "captions": change(video["captions"])} if _is_given(video) else video
        for video in values["videos"]
    ]
    return values


def _is_given(video: dict[str, Any]) -> bool:
    """Return whether a video has captions that the user named, and not those beside it."""
    captions = video.get("captions")
    return captions is not None and (os.path.isabs(captions) or is_remote(captions))


def _video(entry: dict[str, Any]) -> Video:
    said = entry.get("said")
    return Video(**{**entry, "said": None if said is None else Said(**said)})
