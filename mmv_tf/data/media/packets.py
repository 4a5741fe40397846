# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads and decodes packets; damaged packets are skipped and counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import av

# Ours: consecutive failures after which reading stops; each skips some of the file.
_MOST_READ_ERRORS = 100


@dataclasses.dataclass
class Tally:
    """Record of the packets that could and could not be decoded.

    Attributes:
      decoded, damaged: packet times, in seconds on the film's clock.
      disordered: times of frames left out because they precede the previous frame.
      sizes: width and height of the encoded frames, in pixels.
    """

    decoded: list[float] = dataclasses.field(default_factory=list)
    damaged: list[float] = dataclasses.field(default_factory=list)
    disordered: list[float] = dataclasses.field(default_factory=list)
    sizes: set[tuple[int, int]] = dataclasses.field(default_factory=set)


def read_packets(
    container: av.container.InputContainer, *streams: av.VideoStream | av.AudioStream
) -> Iterator[av.Packet]:
    """Yield packets from some streams, then an empty packet for each stream.

    Positions that can't be read are skipped.

    Raises:
      av.FFmpegError: nothing more can be read before the end of the file.
    """
    failures = 0
    while True:
        try:
            for packet in container.demux(*streams):
                failures = 0
                yield packet
            return
        except (av.error.InvalidDataError, IndexError):
            # IndexError: a packet of a track that FFmpeg has found only now.
            failures += 1
            if failures > _MOST_READ_ERRORS:
                raise


def decode_packet(packet: av.Packet) -> list[av.VideoFrame] | list[av.AudioFrame] | None:
    """Return a packet's frames, or None if the packet is damaged."""
    try:
        return packet.decode()
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        return None
