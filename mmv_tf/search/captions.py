# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""A moment's captions, cue by cue."""

from __future__ import annotations

import functools
import pathlib

from mmv_tf.data import captions as captions_lib
from mmv_tf.search.folders import Folders
from mmv_tf.search.manifest import Video
from mmv_tf.search.narration import captions_path


def captions_between(
    folders: Folders, video: Video, start: float, end: float
) -> list[captions_lib.Caption]:
    """Return the captions for a part of a video; none if there is no file or it can't be read."""
    try:
        path = captions_path(folders, video)
        known = [] if path is None else _captions(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return []
    return [caption for caption in known if caption.start < end and caption.end > start]


@functools.lru_cache(maxsize=256)
def _captions(path: pathlib.Path, mtime_ns: int) -> list[captions_lib.Caption]:
    del mtime_ns  # a key of the cache
    return captions_lib.read_captions(path)
