# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures a film's clock: its start, its length and its joins.

A container's times are hints at best. Start times may be negative, large, wrapped or different for
each track; lengths may be end times, guesses from a bit rate, or missing; timestamps restart in the
middle of concatenated files. So all packets are read, and the first frame is decoded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import pathlib
from typing import Any

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import WHOLE, Slice
from mmv_tf.data.media.joins import ogg_piece_end
from mmv_tf.data.media.scan import Part, Scan, scan
from mmv_tf.util.storage.errors import MissingError
from mmv_tf.util.storage.media import at_hand

# Ours. A length stated by the container is used if the packets agree within this tolerance: it is
# exact, while packets may hold samples that are not played.
_LENGTH_TOLERANCE = 0.1
# Ours: a film that ends this much before its stated length was cut off.
_CUT_OFF_SECONDS = 1.0
_MOST_PARTS = 1000  # Ours.
# Containers that store a length; for others FFmpeg guesses it.
_STATES_LENGTH = ("matroska", "avi", "flv", "mov", "flac", "asf")


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A film's clock: 0 is its first frame, or its first audio sample if it has no frames.

    Attributes:
      parts: parts in time order; usually one.
      missing: seconds that the container states but the file lacks.
      undecodable: codecs of the audio tracks that can't be decoded.
      unread: number of joined pieces that can't be read, 0 or 1.
      damaged_at_start: packets before the first frame that can't be decoded.
      holes: seconds without frames in an otherwise regular film.
    """

    parts: tuple[Part, ...]
    missing: float = 0.0
    undecodable: tuple[str, ...] = ()
    unread: int = 0
    damaged_at_start: int = 0
    holes: float = 0.0

    @property
    def has_video(self) -> bool:
        """True if there are frames."""
        return any(part.video is not None for part in self.parts)

    @property
    def has_audio(self) -> bool:
        """True if there is audio that can be decoded."""
        return any(part.audio is not None for part in self.parts)

    @property
    def length(self) -> float:
        """Seconds of video, or of audio if there is no video."""
        return self.parts[-1].end

    @property
    def sound_end(self) -> float:
        """Seconds from the start to the end of the audio."""
        return max(part.start + part.sound_end for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Return plain values to send to another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Timeline:
        """Return the timeline from the values of `to_json`."""
        parts = tuple(Part(**{**part, "slice": Slice(**part["slice"])}) for part in values["parts"])
        undecodable = tuple(values["undecodable"])
        return cls(**{**values, "parts": parts, "undecodable": undecodable})


def timeline_of(path: str | pathlib.Path) -> Timeline:
    """Return a video or audio file's clock; cached until the file changes.

    Raises:
      MediaError: nothing in the file can be decoded, or its times contradict each other.
    """
    try:
        state = pathlib.Path(path).stat()
    except OSError:
        return _measure(str(path))  # Raises the proper error.
    return _remembered(str(path), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _remembered(path: str, mtime_ns: int, size: int) -> Timeline:
    del mtime_ns, size  # A changed file is measured again.
    return _measure(path)


def _measure(path: str) -> Timeline:
    # Kept at hand for all pieces, so that a file in a store is not fetched for each.
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(MissingError):  # Opening it raises the proper error.
            stack.enter_context(at_hand(path))
        return _measure_local(path)


def _measure_local(path: str) -> Timeline:
    parts: list[Part] = []
    undecodable: list[str] = []
    missing, unread, damaged, holes = 0.0, 0, 0, 0.0
    rest: Slice | None = WHOLE
    while rest is not None:
        if len(parts) >= _MOST_PARTS:
            raise MediaError(
                f"{path}: its timestamps restart {_MOST_PARTS} times or more; re-encode it."
            )
        try:
            piece, found, rest = _next_piece(path, rest)
        except MediaError:
            if not parts:
                raise
            unread = 1
            break
        part = found.part
        if piece == WHOLE:
            part, missing = _with_stated_lengths(found)
        if not parts or part.video is not None or parts[0].video is None:
            start = parts[-1].end if parts else 0.0
            parts.append(dataclasses.replace(part, start=start))
        undecodable += found.undecodable
        damaged += found.damaged_at_start
        holes += found.holes
    unknown = tuple(dict.fromkeys(undecodable))
    return Timeline(tuple(parts), missing, unknown, unread, damaged, holes)


def _next_piece(path: str, rest: Slice) -> tuple[Slice, Scan, Slice | None]:
    """Return the first piece in the rest of a file, its scan, and the rest after it."""
    end = ogg_piece_end(path, rest.begin) if pathlib.Path(path).is_file() else None
    if end is not None:
        piece = Slice(rest.begin, end, "ogg")
        return piece, scan(path, piece, look_for_joins=False), Slice(end, None, "ogg")
    found = scan(path, rest)
    if found.join is None:
        return rest, found, None
    # Scan again, up to where the clock restarts.
    piece = dataclasses.replace(rest, end=found.join)
    after = Slice(found.join, None, found.format_name.split(",")[0])
    return piece, scan(path, piece, look_for_joins=False), after


def _with_stated_lengths(found: Scan) -> tuple[Part, float]:
    """Return the whole film with its container's lengths, and the number of missing seconds.

    A length stated by the container is used if the packets agree with it.
    """
    part = found.part
    length, sound_end = part.length, part.sound_end
    stated = found.stated_length
    if stated is not None and abs(stated - length) <= _LENGTH_TOLERANCE:
        length = stated
    heard = found.stated_sound_end
    if heard is not None and abs(heard - sound_end) <= _LENGTH_TOLERANCE:
        sound_end = heard
    if part.video is None:
        length = sound_end
    missing = 0.0
    if found.stated_end is not None and found.format_name.startswith(_STATES_LENGTH):
        last = max(part.length, part.sound_end)
        # Some writers state a length, others an end time.
        missing = min(found.stated_end, found.stated_end - part.origin) - last
        missing = missing if missing > _CUT_OFF_SECONDS else 0.0
    return dataclasses.replace(part, length=length, sound_end=sound_end), missing
