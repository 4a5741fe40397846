# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Sources of clips (video, audio and image files) and their known properties."""

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
from mmv_tf.util.storage.media import outline
from mmv_tf.util.text_files import printable_name

TFDS = "tensorflow_datasets"  # Images of a data set of TensorFlow Datasets.
# Key in `Found.passed_over` for caption files without a source; other files count by suffix.
CAPTIONS_ALONE = "caption files of no source"
# Ours. Tools that trim at key frames leave more than requested.
TRIMMED_SECONDS = 1.5
_TABLES = (".csv", ".tsv")  # May hold anything.


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """A clip that a list names.

    Attributes:
      start: start in seconds from the start of the source.
      end: end in seconds; None for the end of the source.
      labels: the clip's class names.
      texts: the clip's narrations.
      split: the clip's split; None for its source's.
      example_id: the example's id; None derives one from the source and the time.
      may_be_trimmed: True if the times refer to a longer original. Then a source no longer than the
        clip (plus a second and a half, since tools cut at key frames) is the clip itself.
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
    """A file that holds clips, or several images that are read together.

    Attributes:
      media_id: name of the source, unique in a data set.
      path: path to the file.
      captions: the source's caption file, if any.
      kind: VIDEO (with its audio), SOUND (the audio of an audio or video file), IMAGE or TFDS.
      split: the whole source's split; None assigns its blocks by the settings' pattern.
      labels: the whole source's classes.
      narrations: the source's captions, if they are not in a file of their own.
      clips: the source's clips in a list; None for the whole source.
      selection: images of a TFDS source, as "name:split[from:to]"; the path is its data_dir.
      left_out: counts of what is left out before its captions are read.
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
    """A folder's contents.

    Attributes:
      sources: sources sorted by media id.
      passed_over: counts of files that are neither sources nor their captions, by suffix (".txt")
        or CAPTIONS_ALONE.
    """

    sources: tuple[Source, ...]
    passed_over: dict[str, int]


@dataclasses.dataclass(frozen=True)
class Collection:
    """A published data set: its sources and their common properties.

    Attributes:
      name: the data set's name.
      sources: all listed sources, including those without a file.
      cut: default way to cut its sources.
      labels: classes in the data set's order, which gives the ids; None sorts the names.
      folds: for each official fold, the splits of each part joined by "+", in the form that
        readers accept: {"1": {"train": "fold2+fold3", "test": "fold1"}}.
    """

    name: str
    sources: tuple[Source, ...]
    cut: str = "list"
    labels: tuple[str, ...] | None = None
    folds: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DataSetFacts:
    """A named data set's properties, for the manifest.

    Attributes:
      name: the data set's name; "" for the user's own sources.
      class_names: classes in the data set's order, which gives the ids; None sorts the labels
        found.
      folds: see `Collection.folds`.
    """

    name: str = ""
    class_names: tuple[str, ...] | None = None
    folds: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)


def find_sources(
    videos: str | pathlib.Path,
    captions: str | pathlib.Path | None = None,
    kind: str = VIDEO,
) -> list[Source]:
    """Return the sources at a path; see `find`."""
    return list(find(videos, captions, kind).sources)


def find(
    videos: str | pathlib.Path,
    captions: str | pathlib.Path | None = None,
    kind: str = VIDEO,
) -> Found:
    r"""Return the sources at a path, and counts of other files.

    Args:
      videos: a file, or a folder, which stands for every file of the kind in it and below, each
        with the caption file beside it that `captions.CaptionFiles` prefers. Either may be given by
        its URL in a store; files are then downloaded when they are opened.
      captions: caption file for a single file; by default, the one beside it, if any.
      kind: VIDEO, SOUND or IMAGE.

    Returns:
      The sources, whose media ids are their paths in the folder without suffix (with bytes that are
      not valid UTF-8 escaped, as in "caf\xe9"), and counts of the files passed over.

    Raises:
      ValueError: no file is found, a media id is not unique, or `captions` is given for a folder.
    """
    videos = outline(str(videos), lambda name: True)
    captions = None if captions is None else outline(str(captions), lambda name: True)
    known = captions_lib.CaptionFiles()
    passed_over: collections.Counter[str] = collections.Counter()
    if videos.is_dir():
        if captions is not None:
            raise ValueError(
                f"{videos} is a folder, so captions can't be one file ({captions}); put each "
                "video's captions beside it under the same name."
            )
        everything = sorted(videos.rglob("*"))
        # A folder named like a video is kept, so that the report mentions it.
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
            sources = [Source(name, videos, captions, kind=kind)]
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
    """Return a source's preferred caption file, and a count of the others."""
    left_out = captions_lib.LeftOut()
    found = known.beside(path)
    if len(found) > 1:
        message = f"{found[0].name} is used, not {found[1].name}"
        left_out.add("caption_files_passed_over", printable_name(message), len(found) - 1)
    return next(iter(found), None), left_out


def _passed_over_as(path: pathlib.Path) -> str:
    suffix = path.suffix.lower()
    if suffix in captions_lib.SUFFIXES and suffix not in _TABLES:
        return CAPTIONS_ALONE
    return printable_name(suffix) or "no suffix"


def kind_of(path: pathlib.Path) -> str:
    """Return a file's kind by its suffix; VIDEO if the suffix is unknown."""
    return file_types.kind_of(path) or VIDEO


def check_unique(sources: Sequence[Source], where: object) -> None:
    """Raise a ValueError if two sources have the same media id."""
    by_id: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        by_id[source.media_id].append(source.path.name)
    for media_id, names in by_id.items():
        if len(names) > 1:
            raise ValueError(
                f"{where}: {len(names)} files are named {media_id!r} apart from the suffix "
                f"({printable_name(', '.join(sorted(names)[:4]))}), so their clips would have "
                "the same ids; rename all but one, or move them away."
            )
