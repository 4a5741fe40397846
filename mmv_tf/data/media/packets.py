# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads and decodes packets, going on after damaged ones and counting them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import av

# Ours: reading is given up after so many failures in a row; each passes over some of the file.
_MOST_READ_ERRORS = 100


@dataclasses.dataclass
class Tally:
    """Which packets could be decoded.

    Attributes:
      decoded, damaged: times of the packets, seconds of the film's clock.
      disordered: times of frames left out because they lie before the frame before.
      sizes: width and height of the pictures that were made, pixels.
    """

    decoded: list[float] = dataclasses.field(default_factory=list)
    damaged: list[float] = dataclasses.field(default_factory=list)
    disordered: list[float] = dataclasses.field(default_factory=list)
    sizes: set[tuple[int, int]] = dataclasses.field(default_factory=set)


def read_packets(
    container: av.container.InputContainer, *streams: av.VideoStream | av.AudioStream
) -> Iterator[av.Packet]:
    """The packets of some streams, and an empty one of each stream at the end.

    A place that can't be read is passed over.

    Raises:
      av.FFmpegError: nothing more can be read, though the file does not end.
    """
    failures = 0
    while True:
        try:
            for packet in container.demux(*streams):
                failures = 0
                yield packet
            return
        except (av.error.InvalidDataError, IndexError):
            # The latter for packets of a track that FFmpeg finds only now.
            failures += 1
            if failures > _MOST_READ_ERRORS:
                raise


def decode_packet(packet: av.Packet) -> list[av.VideoFrame] | list[av.AudioFrame] | None:
    """A packet's frames; None if it is damaged."""
    try:
        return packet.decode()
    except av.error.MemoryError:
        raise
    except av.FFmpegError:
        return None
