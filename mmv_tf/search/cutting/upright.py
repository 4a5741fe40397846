# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Frames for encoders: upright, with square pixels, even sides and 4:2:0 color."""

from __future__ import annotations

import itertools

import av

from mmv_tf.data.file_types import check_aspect
from mmv_tf.data.media.rgb import display_matrix, display_size

# Ours: longest side of H.264 that common players decode; larger frames are scaled down.
_MOST_SIDE = 4096


class Upright:
    """Rotates and scales frames with FFmpeg's filters, which are kept between frames of one kind.

    Args:
      path: the film, for messages.
    """

    def __init__(self, path: object):
        self._path = path
        self._kind: object = None
        self._graph: av.filter.Graph | None = None

    def turn(
        self, frame: av.VideoFrame, stream: av.VideoStream, size: tuple[int, int] | None = None
    ) -> av.VideoFrame:
        """Return a frame as yuv420p.

        Args:
          frame, stream: the frame and its track.
          size: width and height; by default, as displayed, even, and at most 4096.

        Raises:
          MediaError: the frame is too elongated.
        """
        turning = display_matrix(frame)
        if size is None:
            size = _even_size(*display_size(frame, stream), self._path)
        kind = frame.format.name, frame.width, frame.height, int(frame.color_range), turning, size
        if kind != self._kind:
            self._kind, self._graph = kind, _graph(frame, turning, size)
        assert self._graph is not None  # noqa: S101 (made with the kind)
        frame.pts = None
        self._graph.push(frame)
        return self._graph.pull()


def _even_size(width: int, height: int, path: object) -> tuple[int, int]:
    check_aspect(width, height, path)
    scale = min(1.0, _MOST_SIDE / max(width, height))
    return max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2)


def _graph(
    frame: av.VideoFrame, turning: tuple[bool, bool, bool], size: tuple[int, int]
) -> av.filter.Graph:
    """Return filters that rotate a frame according to `display_matrix`, then scale it."""
    graph = av.filter.Graph()
    swapped, mirrored, flipped = turning
    wanted = [("transpose", "dir=cclock_flip")] if swapped else []
    wanted += [("hflip", "")] if mirrored else []
    wanted += [("vflip", "")] if flipped else []
    wanted += [("scale", f"w={size[0]}:h={size[1]}:out_range=limited:flags=bicubic")]
    wanted += [("format", "pix_fmts=yuv420p"), ("setsar", "sar=1")]
    nodes = [
        graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base,
        )
    ]
    nodes += [graph.add(name, arguments) for name, arguments in wanted]
    nodes.append(graph.add("buffersink"))
    for source, target in itertools.pairwise(nodes):
        source.link_to(target)
    graph.configure()
    return graph
