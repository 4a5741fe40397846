# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Opening of videos and sounds with PyAV, and the clock that their times are told by."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator

import av

from mmv_tf.data.media_limits import MAX_PIXELS, MediaError

# Containers that hold what they show. Play lists (HLS, concat, DASH ...) name other files, which
# whoever made the file need not be allowed to read.
_FORMATS = ",".join(
    "aac ac3 aiff amr ape asf au avi caf dv eac3 flac flv gif h264 hevc ivf matroska mov mp3 "
    "mpeg mpegts mpegvideo m4v mxf ogg rm tta w64 wav wv y4m yuv4mpegpipe".split()
)


@contextlib.contextmanager
def open_container(path: str | pathlib.Path) -> Iterator[av.container.InputContainer]:
    """An open file; FFmpeg's errors, then and later, become `MediaError`."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise MediaError(
            f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; expected a video file; "
            "check the path."
        )
    try:
        # "file:" keeps a colon in the name from being read as a protocol.
        with av.open(
            f"file:{path}", metadata_errors="replace", options={"format_whitelist": _FORMATS}
        ) as container:
            yield container
    except av.FFmpegError as error:
        reason = (error.strerror or str(error)).strip()
        raise MediaError(
            f"{path}: can't be decoded ({reason}); the file is damaged, cut off or no video: get a "
            "whole copy."
        ) from error


def video_stream(container: av.container.InputContainer, path: object) -> av.VideoStream:
    """The first video stream that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            size = stream.codec_context.width * stream.codec_context.height
            if size > MAX_PIXELS:
                raise MediaError(
                    f"{path}: the picture has {size} pixels; at most {MAX_PIXELS} are decoded."
                )
            return stream
    raise MediaError(f"{path}: no video stream found; expected a video.")


def start_of(container: av.container.InputContainer) -> float:
    """The stored time at which presentation starts (MPEG-TS files start anywhere)."""
    # A small negative start is a codec's run-in, which is not presented.
    start = container.start_time
    return max(0.0, start / av.time_base) if start is not None else 0.0


def display_size(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """Width and height as displayed."""
    ratio = float(stream.sample_aspect_ratio or 1)
    width, height = max(1, round(frame.width * ratio)), frame.height
    return (height, width) if round(frame.rotation / 90) % 2 else (width, height)
