# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Finds the caption file that belongs to a video or sound, by its name."""

from __future__ import annotations

import os
import pathlib

from mmv_tf.data import suffixes
from mmv_tf.data.captions.languages import language_rank
from mmv_tf.data.captions.reading import SUFFIXES


class CaptionFiles:
    """The caption files of folders, each of which is listed once.

    Of the files beside a video "soup.mp4" belong to it, in the order in which one is taken:

    1. "soup.vtt", by the order of `SUFFIXES`;
    2. "soup.mp4.vtt", likewise;
    3. "soup.en.vtt": with a language, by `language_rank`, then by the order of `SUFFIXES`.

    Suffixes may have capitals; names may not differ otherwise. A file belongs to the video with the
    longest name that fits: "soup.en.vtt" to "soup.en.mp4", if that is there.
    """

    def __init__(self) -> None:
        # Folder -> a video's name without its suffix -> names of caption files.
        self._folders: dict[pathlib.Path, dict[str, list[str]]] = {}

    def beside(self, video: pathlib.Path) -> list[pathlib.Path]:
        """The caption files that belong to a video, the one that is taken first."""
        folder = video.parent
        if folder not in self._folders:
            self._list(folder)
        return [folder / name for name in self._folders[folder].get(video.stem, ())]

    def _list(self, folder: pathlib.Path) -> None:
        names = _files(folder)
        media = {n for n in names if suffixes.kind_of(n) in (suffixes.VIDEO, suffixes.SOUND)}
        stems = {pathlib.PurePath(name).stem for name in media}
        ranked: dict[str, list[tuple[tuple[object, ...], str]]] = {}
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix.lower() not in SUFFIXES:
                continue
            order = (SUFFIXES.index(suffix.lower()), suffix != suffix.lower(), name)
            for owner, rank in _owners(stem, media):
                ranked.setdefault(owner, []).append(((*rank, *order), name))
                # A video whose name fits better has it for itself.
                if owner in stems:
                    break
        self._folders[folder] = {
            owner: [name for _, name in sorted(found, key=lambda pair: pair[0])]  # type: ignore[arg-type,return-value]
            for owner, found in ranked.items()
        }


def sidecar(video: pathlib.Path) -> pathlib.Path | None:
    """The caption file beside a video that is taken; see `CaptionFiles`."""
    return next(iter(CaptionFiles().beside(video)), None)


def _files(folder: pathlib.Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_file())
    except OSError:
        return []


def _owners(stem: str, media: set[str]) -> list[tuple[str, tuple[object, ...]]]:
    """Names of videos that captions of this name may belong to, the longest first, with a rank."""
    nothing = (False, False, False, "")
    owners: list[tuple[str, tuple[object, ...]]] = [(stem, (0, *nothing))]
    if stem in media:
        owners.append((os.path.splitext(stem)[0], (1, *nothing)))
    parts = stem.split(".")
    for count in (1, 2):
        rank = language_rank(".".join(parts[-count:])) if len(parts) > count else None
        if rank is not None:
            owners.append((".".join(parts[:-count]), (2, *rank)))
    return owners
