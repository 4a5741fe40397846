# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""List entries for chosen moments, with properties of their films and captions."""

from __future__ import annotations

import pathlib
import urllib.parse
from collections.abc import Callable, Sequence
from typing import Any

from mmv_tf.data.captions import Caption
from mmv_tf.search.captions import captions_between
from mmv_tf.search.chosen import Chosen
from mmv_tf.search.edit_lists.entries import Entry, Film, file_url, read_film
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Video
from mmv_tf.search.moment_ids import MomentId
from mmv_tf.util.text_files import printable_name

_Captions = Callable[[Folders, Video, float, float], list[Caption]]


def entries_of(
    moments: Sequence[Chosen],
    folders: Folders,
    read: Callable[[pathlib.Path, str], dict[str, Any]] = lambda path, name: read_film(str(path)),
    path_of: Callable[[Video], pathlib.Path] | None = None,
    captions: _Captions = captions_between,
    hidden: bool = False,
) -> list[Entry]:
    """Return the list entries for moments.

    Args:
      moments: the moments, in the list's order.
      folders: the index's folders.
      read: reads a film's headers, given its path and its name for messages; see `read_film`.
      path_of: finds a film's file; by default, in the folders.
      captions: returns the speech in a part of a video; by default, its captions.
      hidden: whether to hide where the folders are on this machine; URLs are then relative.

    Raises:
      MediaError: a film can't be read.
      OSError: a film no longer exists.
      ValueError: a film is now a link that leads elsewhere.
    """
    films: dict[str, Film] = {}
    entries = []
    for moment in moments:
        video = moment.video
        if video.name not in films:
            path = folders.inside(video.name) if path_of is None else path_of(video)
            name = printable_name(video.name)
            films[video.name] = Film(
                name=name,
                address=f"./{urllib.parse.quote(name)}" if hidden else file_url(path),
                duration=video.duration,
                **read(path, name),
            )
        entries.append(
            Entry(
                key=str(MomentId.of(video.name, moment.start, moment.end)),
                film=films[video.name],
                start=moment.start,
                end=moment.end,
                captions=captions(folders, video, moment.start, moment.end),
                score=moment.score,
            )
        )
    return entries
