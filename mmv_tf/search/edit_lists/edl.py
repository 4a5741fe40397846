# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Edit decision lists in CMX 3600 format."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence

from mmv_tf.search.edit_lists.cleaning import one_line
from mmv_tf.search.edit_lists.entries import Entry, Film
from mmv_tf.search.edit_lists.timecode import Rate

MOST_EVENTS = 999  # events have three digits
_REEL = 8  # characters of a reel's name
_MOST_TITLE, _MOST_COMMENT = 70, 400  # characters; the latter is ours


def edl(title: str, entries: Sequence[Entry], rate: Rate) -> str:
    """Return a list whose events follow each other without gaps.

    All timecodes use the list's rate. Source timecodes count from the timecode of the film's first
    frame.

    Raises:
      ValueError: there are too many events.
    """
    if len(entries) > MOST_EVENTS:
        raise ValueError(f"Got {len(entries)} moments; an EDL has at most {MOST_EVENTS} events.")
    reels = reel_names([entry.film for entry in entries])
    lines = [
        f"TITLE: {one_line(title, _MOST_TITLE)}",
        f"FCM: {'DROP FRAME' if rate.drops else 'NON-DROP FRAME'}",
        "",
    ]
    at = 0
    for number, entry in enumerate(entries, start=1):
        first = rate.frames(entry.film.begin) + rate.frames(entry.start)
        last = rate.frames(entry.film.begin) + max(
            rate.frames(entry.end), rate.frames(entry.start) + 1
        )
        channels = "AA/V" if entry.film.channels else "V"
        codes = (first, last, at, at + last - first)
        at += last - first
        lines += [
            f"{number:03d}  {reels[entry.film.name]:<{_REEL}} {channels:<5} C        "
            + " ".join(rate.timecode(frame) for frame in codes),
            f"* FROM CLIP NAME: {one_line(entry.film.name, _MOST_COMMENT)}",
            f"* SOURCE FILE: {one_line(entry.film.address, _MOST_COMMENT)}",
        ]
        if entry.said:
            lines.append(f"* COMMENT: {one_line(entry.said, _MOST_COMMENT)}")
    return "\n".join([*lines, ""])


def reel_names(films: Sequence[Film]) -> dict[str, str]:
    """Return a unique reel for each film by name: 8 capitals and digits of the file's name."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for film in films:
        if film.name in names:
            continue
        stem = pathlib.PurePosixPath(film.name).stem.upper()
        base = re.sub(r"[^A-Z0-9]", "", stem)[:_REEL] or "REEL"
        reel, number = base, 2
        while reel in taken:
            reel = f"{base[: _REEL - len(str(number))]}{number}"
            number += 1
        taken.add(reel)
        names[film.name] = reel
    return names
