# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Moments that a user specifies by id or as FILE@start-end."""

from __future__ import annotations

import dataclasses
import pathlib

from mmv_tf.search.files import video_id
from mmv_tf.search.manifest import Manifest, Video
from mmv_tf.search.moment_ids import MomentId
from mmv_tf.search.queries import parse_times
from mmv_tf.util.command_line import nearest
from mmv_tf.util.text_files import printable_name


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A moment in an index.

    Attributes:
      video: the video that contains it.
      start, end: times in seconds; the end is at most the video's.
      score: score in a search; None if the moment does not come from a search.
    """

    video: Video
    start: float
    end: float
    score: float | None = None


def choose(manifest: Manifest, text: str) -> Chosen:
    """Return the moment that a text specifies.

    Args:
      manifest: the index's content.
      text: an id, as from the API and `search query --json`; or FILE@start-end, where FILE is a
        video's name in the index or its path.

    Raises:
      ValueError: the text is neither, or the index has no such video.
    """
    try:
        moment = MomentId.parse(text)
    except ValueError:
        name, at, span = text.rpartition("@")
        if not at:
            raise ValueError(f"{text}: expected the id of a moment, or FILE@start-end.") from None
        video = _named(manifest, name)
        start, end = parse_times(text, span)
        end = video.duration if end is None else end
    else:
        by_id = {video_id(video.name): video for video in manifest.videos}
        if moment.video not in by_id:
            raise ValueError(f"{text}: the index has no video with this id; search again.")
        video, start, end = by_id[moment.video], moment.start, moment.end
    if start >= video.duration:
        raise ValueError(
            f"{text}: the video ends at {video.duration:.2f} s; expected an earlier start."
        )
    return Chosen(video, start, min(end, video.duration))


def _named(manifest: Manifest, name: str) -> Video:
    by_name = {video.name: video for video in manifest.videos}
    if name in by_name:
        return by_name[name]
    path = pathlib.Path(name).resolve()
    for video in manifest.videos:
        if manifest.folders.path(video.name) == path:
            return video
    near = nearest(name, list(by_name))
    hint = f"; nearest: {printable_name(near)}" if near else ""
    raise ValueError(f"{printable_name(name)}: the index has no such video{hint}.")
