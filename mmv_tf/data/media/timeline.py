# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The clock of a film, measured by reading it: where it starts, how long it is, where it is joined.

What a container says of its times is a hint at best. Start times may be negative, large, wrapped or
different by track; lengths may be end times, guesses from a bit rate, or missing; files that were
joined end to end begin their times anew in the middle. So the packets are read to the end, and the
first picture is decoded.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from typing import Any

from mmv_tf.data.file_types import MediaError
from mmv_tf.data.media.container import WHOLE, Slice
from mmv_tf.data.media.joins import ogg_piece_end
from mmv_tf.data.media.scan import Part, Scan, scan

# Ours. A container's word on a length is taken if packets bear it out to within this; it is exact
# where packets are not, which may hold samples that are not played.
_LENGTH_TOLERANCE = 0.1
# Ours: a film that ends this much before the length that is written in it was cut off.
_CUT_OFF_SECONDS = 1.0
_MOST_PARTS = 1000  # Ours.
# Containers in which a length is written, not guessed.
_STATES_LENGTH = ("matroska", "avi", "flv", "mov", "flac", "asf")


@dataclasses.dataclass(frozen=True)
class Timeline:
    """A film's clock: 0 is where its first picture is shown, or its first sound is heard.

    Attributes:
      parts: by time; usually one.
      missing: seconds that the container says there are and that aren't.
      undecodable: codecs of the tracks with sound that have no decoder or can't be decoded.
      unread: pieces that are joined to it and can't be read, 0 or 1.
      damaged_at_start: packets before the first picture that can't be decoded.
      holes: seconds for which pictures are missing in an otherwise regular film.
    """

    parts: tuple[Part, ...]
    missing: float = 0.0
    undecodable: tuple[str, ...] = ()
    unread: int = 0
    damaged_at_start: int = 0
    holes: float = 0.0

    @property
    def has_video(self) -> bool:
        """Whether there is a picture."""
        return any(part.video is not None for part in self.parts)

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound that can be decoded."""
        return any(part.audio is not None for part in self.parts)

    @property
    def length(self) -> float:
        """Seconds of picture, or of sound where there is no picture."""
        return self.parts[-1].end

    @property
    def sound_end(self) -> float:
        """Seconds from the start to the end of the sound."""
        return max(part.start + part.sound_end for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for another process."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Timeline:
        """What `to_json` gave."""
        parts = tuple(Part(**{**part, "slice": Slice(**part["slice"])}) for part in values["parts"])
        undecodable = tuple(values["undecodable"])
        return cls(**{**values, "parts": parts, "undecodable": undecodable})


def timeline_of(path: str | pathlib.Path) -> Timeline:
    """The clock of a film or sound; kept while the file stays as it is.

    Raises:
      MediaError: nothing in it can be decoded, or its times can't be made sense of.
    """
    try:
        state = pathlib.Path(path).stat()
    except OSError:
        return _measure(str(path))  # Says what is wrong.
    return _remembered(str(path), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _remembered(path: str, mtime_ns: int, size: int) -> Timeline:
    del mtime_ns, size  # A changed file is measured again.
    return _measure(path)


def _measure(path: str) -> Timeline:
    parts: list[Part] = []
    undecodable: list[str] = []
    missing, unread, damaged, holes = 0.0, 0, 0, 0.0
    rest: Slice | None = WHOLE
    while rest is not None:
        if len(parts) >= _MOST_PARTS:
            raise MediaError(
                f"{path}: its clock starts anew {_MOST_PARTS} times or more; encode it again."
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
    """The first piece of the rest of a file, what is in it, and the rest after it."""
    end = ogg_piece_end(path, rest.begin) if pathlib.Path(path).is_file() else None
    if end is not None:
        piece = Slice(rest.begin, end, "ogg")
        return piece, scan(path, piece, look_for_joins=False), Slice(end, None, "ogg")
    found = scan(path, rest)
    if found.join is None:
        return rest, found, None
    # Once more, up to where the clock starts anew.
    piece = dataclasses.replace(rest, end=found.join)
    after = Slice(found.join, None, found.format_name.split(",")[0])
    return piece, scan(path, piece, look_for_joins=False), after


def _with_stated_lengths(found: Scan) -> tuple[Part, float]:
    """The whole film with the lengths that its container states, and how many seconds are missing.

    A length that the container states is taken where packets bear it out.
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
        # Some writers state a length, others the time at which it ends.
        missing = min(found.stated_end, found.stated_end - part.origin) - last
        missing = missing if missing > _CUT_OFF_SECONDS else 0.0
    return dataclasses.replace(part, length=length, sound_end=sound_end), missing
