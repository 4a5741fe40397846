# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Media files by suffix, and limits on what is decoded."""

from __future__ import annotations

import os

from mmv_tf.util.worker_pool import TaskError

VIDEO, SOUND, IMAGE = "video", "sound", "image"

_USUAL = {
    VIDEO: (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".ts", ".webm"),
    SOUND: (".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"),
    IMAGE: (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"),
}

# Further names of what `media.container` and `pictures` open.
_OTHER = {
    VIDEO: (
        *(".3g2", ".3gp", ".asf", ".divx", ".dv", ".f4v", ".h264", ".hevc", ".ivf", ".m1v", ".m2p"),
        *(".m2t", ".m2ts", ".m2v", ".mod", ".mpe", ".mts", ".mxf", ".ogm", ".ogv", ".qt", ".rm"),
        *(".rmvb", ".tod", ".vob", ".wmv", ".y4m"),
    ),
    SOUND: (
        *(".ac3", ".aif", ".aifc", ".aiff", ".amr", ".ape", ".au", ".caf", ".eac3", ".m4b", ".mka"),
        *(".mp2", ".ra", ".snd", ".spx", ".tta", ".w64", ".weba", ".wma", ".wv"),
    ),
    IMAGE: (".ppm", ".tif", ".tiff"),
}

# In lower case; a file's suffix may have capitals.
SUFFIXES = {kind: (*_USUAL[kind], *_OTHER[kind]) for kind in _USUAL}


def kind_of(name: str | os.PathLike[str]) -> str | None:
    """VIDEO, SOUND or IMAGE, by a file's suffix; None for any other suffix."""
    suffix = os.path.splitext(name)[1].lower()
    return next((kind for kind, known in SUFFIXES.items() if suffix in known), None)


def is_usual(name: str | os.PathLike[str]) -> bool:
    """Whether a suffix is a usual one: of two files with one name, such a one is taken first."""
    suffix = os.path.splitext(name)[1].lower()
    return any(suffix in known for known in _USUAL.values())


# Ours: of a decoded picture, and of its longer side to its shorter one.
MAX_PIXELS = 8192 * 8192

_MAX_ASPECT = 16


class MediaError(TaskError):
    """A video or its sound can't be decoded; the message is one line that names the file."""


def check_aspect(width: int, height: int, path: object) -> None:
    """Scaling the short side up must not make the long one endless."""
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise MediaError(
            f"{path}: the picture is {width} x {height}; expected sides within a ratio of "
            f"{_MAX_ASPECT}; crop it."
        )
