# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes a list in one of the formats."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence

from mmv_tf.search.edit_lists.edl import edl
from mmv_tf.search.edit_lists.entries import Entry
from mmv_tf.search.edit_lists.fcpxml import fcpxml
from mmv_tf.search.edit_lists.tables import csv_table, json_list
from mmv_tf.search.edit_lists.timecode import Rate

MOST_ENTRIES = 1000  # ours; an EDL holds 999
_WRITERS: dict[str, Callable[[str, Sequence[Entry], Rate], str]] = {
    "edl": edl,
    "fcpxml": fcpxml,
    "csv": csv_table,
    "json": json_list,
}
FORMATS = tuple(_WRITERS)
MEDIA_TYPES = {
    "edl": "text/plain",
    "fcpxml": "application/xml",
    "csv": "text/csv",
    "json": "application/json",
}


def list_bytes(
    format: str, title: str, entries: Sequence[Entry], frame_rate: str | None = None
) -> bytes:
    """Return a list of moments as the bytes of a file.

    Args:
      format: one of `FORMATS`.
      title: the list's title.
      entries: moments, in the list's order.
      frame_rate: frames per second, such as "25" or "30000/1001"; by default, that of most films.

    Raises:
      ValueError: the format or the rate is unknown, or there are too many moments.
    """
    if format not in _WRITERS:
        raise ValueError(f"The format is {format!r}; expected one of {', '.join(FORMATS)}.")
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"Got {len(entries)} moments; a list has at most {MOST_ENTRIES}.")
    rate = _usual(entries) if frame_rate is None else Rate.parse(frame_rate)
    return _WRITERS[format](title, entries, rate).encode("utf-8")


def _usual(entries: Sequence[Entry]) -> Rate:
    films = {entry.film.name: entry.film.rate for entry in entries}
    counts = collections.Counter(films.values())
    return counts.most_common(1)[0][0] if counts else Rate.nearest(25.0)
