# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Media file types by suffix, and limits on the size of frames and images."""

from __future__ import annotations

import os

from mmv_tf.util.worker_pool import TaskError

VIDEO, SOUND, IMAGE = "video", "sound", "image"

_USUAL = {
    VIDEO: (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mpeg", ".ts", ".webm"),
    SOUND: (".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav"),
    IMAGE: (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp"),
}

# Additional suffixes of files that `media.container` and `images` open.
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

# In lower case; suffixes of files may have capitals.
SUFFIXES = {kind: (*_USUAL[kind], *_OTHER[kind]) for kind in _USUAL}


def kind_of(name: str | os.PathLike[str]) -> str | None:
    """Return VIDEO, SOUND or IMAGE according to a file's suffix, or None for other suffixes."""
    suffix = os.path.splitext(name)[1].lower()
    return next((kind for kind, known in SUFFIXES.items() if suffix in known), None)


def is_media(name: str | os.PathLike[str]) -> bool:
    """Return whether a suffix is that of a video, audio or image file."""
    return kind_of(name) is not None


def is_usual(name: str | os.PathLike[str]) -> bool:
    """Return whether a suffix is a usual one; among files with equal names, these are preferred."""
    suffix = os.path.splitext(name)[1].lower()
    return any(suffix in known for known in _USUAL.values())


MAX_PIXELS = 8192 * 8192  # Ours: limit for a decoded frame or image.
_MAX_ASPECT = 16  # Ours: ratio of the longer side to the shorter one.


class MediaError(TaskError):
    """Error for media that can't be decoded; the message is one line that names the file."""


def check_aspect(width: int, height: int, path: object) -> None:
    """Reject very elongated frames and images; scaling could make their long side too large.

    Raises:
      MediaError: the ratio of the sides is too high.
    """
    if max(width, height) > _MAX_ASPECT * min(width, height):
        raise MediaError(
            f"{path}: the image is {width} x {height}; expected an aspect ratio of at "
            f"most {_MAX_ASPECT}; crop it."
        )
