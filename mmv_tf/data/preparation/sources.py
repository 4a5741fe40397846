# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is prepared: sources (a video, a sound, an image each) and what is known of them before."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib

VIDEO, SOUND, IMAGE = "video", "sound", "image"
TFDS = "tensorflow_datasets"  # Pictures of a data set that TensorFlow Datasets holds.
SUFFIXES = {
    VIDEO: (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".ts", ".webm"),
    SOUND: (".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"),
    IMAGE: (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"),
}


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """A clip that a list names.

    Attributes:
      start: seconds from the source's start.
      end: seconds; None is the source's end.
      labels: names of its classes.
      texts: sentences about this very clip.
      split: the split it is in; None is its source's.
      example_id: its id; None makes one of the source and the time.
      may_be_trimmed: the times are those of a longer original. A source that is no longer than the
        clip (and a second and a half more, since tools cut at key frames) is taken as the clip.
    """

    start: float = 0.0
    end: float | None = None
    labels: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    split: str | None = None
    example_id: str | None = None
    may_be_trimmed: bool = False


@dataclasses.dataclass(frozen=True)
class Source:
    """A file to take clips from, or several pictures that are read together.

    Attributes:
      media_id: its name, unique in a data set.
      path: the file.
      captions: the file with its captions, if it has one.
      kind: VIDEO (its sound too), SOUND (of a video too), IMAGE or TFDS.
      selection: of a TFDS source, which pictures: "name:split[from:to]"; the path is its data_dir.
      split: of all that is in it; None deals its parts out by the settings' pattern.
      labels: classes of all that is in it.
      narrations: its captions where they are no file of their own.
      clips: what a list says of it; None is the whole of it.
    """

    media_id: str
    path: pathlib.Path
    captions: pathlib.Path | None = None
    kind: str = VIDEO
    split: str | None = None
    labels: tuple[str, ...] = ()
    narrations: tuple[captions_lib.Caption, ...] = ()
    clips: tuple[ListedClip, ...] | None = None
    selection: str = ""


@dataclasses.dataclass(frozen=True)
class Collection:
    """A data set read as it was published: its sources and what holds for all of them.

    Attributes:
      name: of the data set.
      sources: what is in it, also what is listed and has no file.
      cut: how its sources are cut, unless the user says otherwise.
      labels: its classes in its own order, which gives the ids; None sorts the names.
      folds: for each of its official divisions, the splits of each part joined by "+", as readers
        take them: {"1": {"train": "fold2+fold3", "test": "fold1"}}.
    """

    name: str
    sources: tuple[Source, ...]
    cut: str = "list"
    labels: tuple[str, ...] | None = None
    folds: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def find_sources(
    videos: str | pathlib.Path,
    captions: str | pathlib.Path | None = None,
    kind: str = VIDEO,
) -> list[Source]:
    """The sources that a path stands for.

    Args:
      videos: a file, or a folder: every file of the kind in it and below, each with the caption
        file of the same name but for the suffix.
      captions: of a single file; by default the one beside it with the same stem, if any.
      kind: VIDEO, SOUND or IMAGE.

    Returns:
      Sources sorted by media id, which is the path inside the folder without its suffix.

    Raises:
      ValueError: nothing is there, a media id is not unique, or `captions` came with a folder.
    """
    videos = pathlib.Path(videos)
    if videos.is_dir():
        if captions is not None:
            raise ValueError(
                f"{videos} is a folder, so captions can't be one file ({captions}); put each "
                "video's captions beside it under the same name."
            )
        suffixes = SUFFIXES[kind]
        # A folder named like a video is kept: the report says what is wrong with it.
        paths = [path for path in videos.rglob("*") if path.suffix.lower() in suffixes]
        if not paths:
            raise ValueError(
                f"{videos}: no {kind} found; expected files ending in {', '.join(suffixes)}."
            )
        sources = [
            Source(
                path.relative_to(videos).with_suffix("").as_posix(), path, sidecar(path), kind=kind
            )
            for path in paths
        ]
    elif videos.is_file():
        beside = pathlib.Path(captions) if captions is not None else sidecar(videos)
        sources = [Source(videos.stem, videos, beside, kind=kind)]
    else:
        raise ValueError(f"{videos}: no such file or folder; give a video or a folder of videos.")
    check_unique(sources, videos)
    return sorted(sources, key=lambda source: source.media_id)


def sidecar(video: pathlib.Path) -> pathlib.Path | None:
    """The caption file beside a video, by the order of `captions.SUFFIXES`."""
    besides = (video.with_suffix(suffix) for suffix in captions_lib.SUFFIXES)
    return next((beside for beside in besides if beside.is_file()), None)


def kind_of(path: pathlib.Path) -> str:
    """The kind that a file's suffix says; VIDEO for one that says nothing."""
    suffix = path.suffix.lower()
    return next((kind for kind, known in SUFFIXES.items() if suffix in known), VIDEO)


def check_unique(sources: Sequence[Source], where: object) -> None:
    """Raises a ValueError if two sources have the same media id."""
    counts = collections.Counter(source.media_id for source in sources)
    for media_id, count in counts.items():
        if count > 1:
            raise ValueError(
                f"{where}: {count} files have the name {media_id!r} but for the suffix; rename "
                "one or move it away."
            )
