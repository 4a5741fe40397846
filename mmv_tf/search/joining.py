# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Joins indexes that were built separately, such as shards from many machines."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
from collections.abc import Sequence

from mmv_tf.search import store
from mmv_tf.search.files import Shard
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Manifest, Skipped, Video
from mmv_tf.search.merging import FAISS_ABOVE, Merged, write_merged
from mmv_tf.search.narration import copied
from mmv_tf.search.speech import SpeechPart
from mmv_tf.search.store import Index, Segment, Writer
from mmv_tf.util import locks

# Ours: number of duplicate names that a note lists.
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Joined(Merged):
    """The report of `join_indexes`.

    Attributes:
      videos, windows: the new index's content.
      duplicates: names of files with the same content, in groups; all are in the index.
    """

    videos: int = 0
    windows: int = 0
    duplicates: tuple[tuple[str, ...], ...] = ()


def join_indexes(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    overwrite: bool = False,
    faiss_above: int | None = FAISS_ABOVE,
) -> Joined:
    """Write an index with the videos from several indexes, which do not change.

    A video that is in several indexes is taken once, from the index that read its file last. If
    killed at any point, the output is either unchanged or the complete new index.

    Args:
      inputs: folders of indexes with the same model, windows and labels. If all are shards of the
        same number, their folders are treated as equal, even at different paths.
      output: the new index's folder.
      overwrite: replace an existing index.
      faiss_above: minimum number of windows to use FAISS; None for never.

    Raises:
      ValueError: the indexes can't be joined, or the output exists.
      OSError: the disk is full or not writable.
    """
    output = pathlib.Path(output)
    if not inputs:
        raise ValueError("There is no index to merge; name at least one.")
    if not overwrite and store.newest_generation(output):
        raise ValueError(f"{output}: there is an index already; give --overwrite to replace it.")
    indexes = [store.open_index(path) for path in inputs]
    notes = [f"{index.directory}: {text}" for index in indexes for text in index.warnings]
    for index in indexes[1:]:
        _check_same(indexes[0], index)
    manifests = _in_same_folders(indexes, notes)
    segments: dict[str, Segment] = {}
    speech: dict[str, SpeechPart] = {}
    videos: dict[str, Video] = {}
    skipped: dict[str, Skipped] = {}
    repeated: list[str] = []
    different: list[str] = []
    for number, (index, manifest) in enumerate(zip(indexes, manifests, strict=True)):
        for name, segment in index.segments.items():
            segments[f"{number}/{name}"] = segment
        speech |= {f"{number}/{name}": SpeechPart(path) for name, path in index.speech.items()}
        for video in manifest.videos:
            before = videos.get(video.name)
            if before is not None:
                same = (before.size, before.sha256) == (video.size, video.sha256)
                (repeated if same else different).append(video.name)
            if before is None or before.mtime_ns < video.mtime_ns:
                videos[video.name] = _renumbered(video, number)
        skipped |= {one.name: one for one in manifest.skipped}
    kept = tuple(videos[name] for name in sorted(videos))
    rates = {manifest.frames_per_second for manifest in manifests}
    if len(rates) > 1:
        notes.append(
            "The indexes have different numbers of frames per second for images: "
            f"{', '.join(f'{rate:g}' for rate in sorted(rates))}."
        )
    empty = dataclasses.replace(
        manifests[0],
        generation=0,
        frames_per_second=min(rates),  # 0, if not all of them have frames
        shard=None,
        videos=(),
        segments={},
        speech={},
        skipped=tuple(skipped[name] for name in sorted(skipped) if name not in videos),
    )
    if repeated:
        notes.append(f"videos in several indexes, each taken once: {len(repeated)}")
    if different:
        notes.append(
            f"different files with the same name ({len(different)}), of which the newer is taken: "
            f"{', '.join(different[:_SHOWN])}"
        )
    duplicates = _duplicates(kept)
    notes += [f"the same content: {', '.join(names)}" for names in duplicates[:_SHOWN]]
    if len(duplicates) > _SHOWN:
        notes.append(f"{len(duplicates) - _SHOWN} more groups of files have the same content.")
    with locks.held(output / "lock", output, "writing this index"):
        writer = Writer(output, empty)
        kept, spoken = copied(writer, speech, kept)
        writer.manifest = dataclasses.replace(empty, speech=spoken)
        done = write_merged(writer, segments, kept, faiss_above)
    return Joined(
        faiss=done.faiss,
        notes=[*notes, *done.notes],
        videos=len(kept),
        windows=sum(video.count for video in kept),
        duplicates=tuple(duplicates),
    )


def _renumbered(video: Video, number: int) -> Video:
    """Return a video whose segment and speech file are named after its index."""
    said = video.said
    if said is not None and said.count:
        said = dataclasses.replace(said, part=f"{number}/{said.part}")
    return dataclasses.replace(video, segment=f"{number}/{video.segment}", said=said)


def _check_same(first: Index, other: Index) -> None:
    """Raise a ValueError if two indexes' vectors can't be compared."""
    one, two = first.manifest, other.manifest
    where = f"{first.directory} and {other.directory} can't be merged"
    if one.fingerprint != two.fingerprint or one.matrices != two.matrices:
        raise ValueError(
            f"{where}: they were made with different models ({one.model}, {one.fingerprint[:12]}; "
            f"{two.model}, {two.fingerprint[:12]}); build them again with the same model."
        )
    if one.windows != two.windows:
        raise ValueError(
            f"{where}: they have windows every {one.windows.step_frames} and "
            f"{two.windows.step_frames} frames; build one of them again."
        )
    prints = [None if it.labels is None else it.labels.fingerprint for it in (one, two)]
    if prints[0] != prints[1]:
        names = ["no classifier" if it.labels is None else it.labels.path for it in (one, two)]
        raise ValueError(
            f"{where}: they have labels from {names[0]} and from {names[1]}; build them again with "
            "the same --classifier."
        )


def _in_same_folders(indexes: Sequence[Index], notes: list[str]) -> list[Manifest]:
    """Return manifests with the same folders, and add notes for the user."""
    manifests = [index.manifest for index in indexes]
    shards = [None if one.shard is None else Shard.parse(one.shard) for one in manifests]
    counts = {None if shard is None else shard.count for shard in shards}
    if None not in counts and len(counts) == 1:
        numbers = {shard.number for shard in shards if shard is not None}
        (count,) = counts
        missing = sorted({*range(1, (count or 0) + 1)} - numbers)
        if missing:
            some = ", ".join(f"{number}/{count}" for number in missing[:_SHOWN])
            notes.append(f"{len(missing)} of {count} shares are missing: {some}")
        same = {tuple(sorted(one.roots)) for one in manifests}
        if len(same) > 1:
            raise ValueError(
                "The shares have different numbers of folders: "
                f"{'; '.join(', '.join(one.roots.values()) for one in manifests)}; build them with "
                "the same --videos."
            )
        for one in manifests[1:]:
            if one.roots != manifests[0].roots:
                notes.append(
                    f"{', '.join(one.roots.values())} is treated as "
                    f"{', '.join(manifests[0].roots.values())}"
                )
        return [dataclasses.replace(one, roots=manifests[0].roots) for one in manifests]
    folders = Folders({})
    for one in manifests:
        folders = folders.with_roots([pathlib.Path(root) for root in one.roots.values()])
    return [one.in_folders(folders) for one in manifests]


def _duplicates(videos: Sequence[Video]) -> list[tuple[str, ...]]:
    """Return the names of videos with the same content."""
    by_content = collections.defaultdict(list)
    for video in videos:
        if video.sha256 is not None:
            by_content[video.sha256].append(video.name)
    return [tuple(names) for names in by_content.values() if len(names) > 1]
