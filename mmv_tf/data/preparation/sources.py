# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""What is prepared: sources (a video, a sound, an image each) and what is known of them before."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from mmv_tf.data import captions as captions_lib
from mmv_tf.data import file_types
from mmv_tf.data.file_types import IMAGE as IMAGE
from mmv_tf.data.file_types import SOUND as SOUND
from mmv_tf.data.file_types import SUFFIXES as SUFFIXES
from mmv_tf.data.file_types import VIDEO as VIDEO
from mmv_tf.util.text_files import printable_name

TFDS = "tensorflow_datasets"  # Pictures of a data set that TensorFlow Datasets holds.
# What `Found.passed_over` calls caption files that belong to no source; others by their suffix.
CAPTIONS_ALONE = "caption files of no source"
# Ours. A tool that trims at key frames leaves more than was asked for.
TRIMMED_SECONDS = 1.5
_TABLES = (".csv", ".tsv")  # They may hold anything.


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
      left_out: what is known to be left out of it before its captions are read.
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
    left_out: captions_lib.LeftOut = dataclasses.field(default_factory=captions_lib.LeftOut)


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in a folder.

    Attributes:
      sources: sorted by media id.
      passed_over: how many files are no source and no source's captions, by suffix (".txt"), or
        CAPTIONS_ALONE.
    """

    sources: tuple[Source, ...]
    passed_over: dict[str, int]


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
    r"""The sources that a path stands for; see `find`."""
    return list(find(videos, captions, kind).sources)


def find(
    videos: str | pathlib.Path,
    captions: str | pathlib.Path | None = None,
    kind: str = VIDEO,
) -> Found:
    r"""Return the sources that a path stands for, and what else is there.

    Args:
      videos: a file, or a folder: every file of the kind in it and below, each with the caption
        file beside it that `captions.CaptionFiles` takes.
      captions: of a single file; by default the one beside it, if any.
      kind: VIDEO, SOUND or IMAGE.

    Returns:
      The sources, whose media id is the path inside the folder without its suffix (bytes that are
      no UTF-8 escaped, as in "caf\xe9"), and counts of the files that are passed over.

    Raises:
      ValueError: nothing is there, a media id is not unique, or `captions` came with a folder.
    """
    videos = pathlib.Path(videos)
    known = captions_lib.CaptionFiles()
    passed_over: collections.Counter[str] = collections.Counter()
    if videos.is_dir():
        if captions is not None:
            raise ValueError(
                f"{videos} is a folder, so captions can't be one file ({captions}); put each "
                "video's captions beside it under the same name."
            )
        everything = sorted(videos.rglob("*"))
        # A folder named like a video is kept: the report says what is wrong with it.
        paths = [path for path in everything if path.suffix.lower() in SUFFIXES[kind]]
        if not paths:
            raise ValueError(
                f"{videos}: no {kind} found; expected files ending in {', '.join(SUFFIXES[kind])}."
            )
        sources = [
            _source(path, printable_name(path.relative_to(videos).with_suffix("")), kind, known)
            for path in paths
        ]
        used = {*paths, *(beside for path in paths for beside in known.beside(path))}
        passed_over.update(
            _passed_over_as(path) for path in everything if path not in used and path.is_file()
        )
    elif videos.is_file():
        name = printable_name(videos.stem)
        if captions is None:
            sources = [_source(videos, name, kind, known)]
        else:
            sources = [Source(name, videos, pathlib.Path(captions), kind=kind)]
    else:
        raise ValueError(f"{videos}: no such file or folder; give a video or a folder of videos.")
    check_unique(sources, videos)
    ordered = sorted(sources, key=lambda source: source.media_id)
    return Found(tuple(ordered), dict(sorted(passed_over.items())))


def _source(
    path: pathlib.Path, media_id: str, kind: str, known: captions_lib.CaptionFiles
) -> Source:
    captions, left_out = captions_beside(path, known)
    return Source(media_id, path, captions, kind=kind, left_out=left_out)


def captions_beside(
    path: pathlib.Path, known: captions_lib.CaptionFiles
) -> tuple[pathlib.Path | None, captions_lib.LeftOut]:
    """The caption file of a source that is taken, and a count of those that could be as well."""
    left_out = captions_lib.LeftOut()
    found = known.beside(path)
    if len(found) > 1:
        message = f"{found[0].name} is taken, not {found[1].name}"
        left_out.add("caption_files_passed_over", printable_name(message), len(found) - 1)
    return next(iter(found), None), left_out


def _passed_over_as(path: pathlib.Path) -> str:
    suffix = path.suffix.lower()
    if suffix in captions_lib.SUFFIXES and suffix not in _TABLES:
        return CAPTIONS_ALONE
    return printable_name(suffix) or "no suffix"


def kind_of(path: pathlib.Path) -> str:
    """The kind that a file's suffix says; VIDEO for one that says nothing."""
    return file_types.kind_of(path) or VIDEO


def check_unique(sources: Sequence[Source], where: object) -> None:
    """Raises a ValueError if two sources have the same media id."""
    by_id: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        by_id[source.media_id].append(source.path.name)
    for media_id, names in by_id.items():
        if len(names) > 1:
            raise ValueError(
                f"{where}: {len(names)} files have the name {media_id!r} but for the suffix "
                f"({printable_name(', '.join(sorted(names)[:4]))}), which would give their clips "
                "the same ids; rename all but one, or move them away."
            )
