# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Parses TSV and CSV caption tables, such as hand-written ones, Whisper's and HowTo100M's."""

from __future__ import annotations

import math
import pathlib
import statistics
from collections.abc import Callable

from mmv_tf.data.captions.caption import UNREADABLE, Cue, LeftOut
from mmv_tf.data.captions.clocks import parse_clock
from mmv_tf.util.text_files import read_cells

_LABEL_COLUMNS = ("label", "subject")
_TEXT_COLUMNS = ("caption", "text")
# Names of the time columns, and their units per second; None: see `_units_a_second`.
_TIME_COLUMNS = {
    ("start", "end"): None,
    ("start_seconds", "end_seconds"): 1,
    ("start_ms", "end_ms"): 1000,
}
# Whisper and whisper.cpp write whole milliseconds in exactly these columns.
_WHISPER = {"start", "end", "text"}
# Ours. Speech has 5 to 25 characters per second. If whole numbers, read as milliseconds, yield at
# most the first rate, they are milliseconds; if they yield at least the second, they are seconds.
_FASTEST, _IMPOSSIBLE = 60.0, 500.0
# Ours. The median spoken caption lasts more than half a second, and less than 500 seconds.
_SHORTEST, _LONGEST = 0.5, 500.0
# Ours. Whole numbers above this can't be seconds of a film.
_LAST_SECOND = 12 * 3600


def table_seconds(text: str) -> float:
    """Parse "12.5" or "0:12.5" as seconds; raise ValueError with the text for anything else."""
    try:
        return float(text)
    except ValueError:
        return parse_clock(text).decimal()


def listed_seconds(text: str, where: str) -> float:
    """Return a time from a list in seconds, 0 or more.

    Args:
      text: see `table_seconds`.
      where: the file and the line, for the message.

    Raises:
      ValueError: it is not a time, is negative or is not finite.
    """
    try:
        seconds = table_seconds(text)
    except ValueError:
        seconds = math.nan
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise ValueError(
            f"{where}: got the time {text[:40]!r}; expected seconds (0 or more) or "
            "hours:minutes:seconds; correct that line."
        )
    return seconds


def parse_table(path: pathlib.Path, text: str, left_out: LeftOut) -> list[Cue]:
    """Return the rows in a table with a header line; unreadable rows are left out and counted.

    Times are seconds or [hours:]minutes:seconds; columns start_ms and end_ms hold milliseconds,
    start_seconds and end_seconds hold seconds. Whisper's tables have exactly the columns start, end
    and text, with whole numbers. These are milliseconds if the text can be spoken in that time (at
    most 60 characters per second) and, read as seconds, the median length is at least half a second
    or a time exceeds 12 hours. They are seconds if it can't be spoken at all (500 characters per
    second). The limits are ours.

    Raises:
      ValueError: the header lacks a column; or times may be seconds or milliseconds: whole numbers
        between those limits, or a median length over 500 s.
    """
    rows = read_cells(path, text)
    _, cells = next(rows)
    header = [name.strip().lower() for name in cells]
    text_column = next((name for name in _TEXT_COLUMNS if name in header), None)
    label_column = next((name for name in _LABEL_COLUMNS if name in header), None)
    names = next((pair for pair in _TIME_COLUMNS if set(pair) <= set(header)), None)
    if text_column is None or names is None:
        raise ValueError(
            f"{path}, line 1: got the columns {', '.join(header)[:80]!r}; expected start, end, "
            "caption and optionally label; add a header line with these names."
        )
    units = _TIME_COLUMNS[names]
    read: Callable[[str], float] = float if units == 1000 else table_seconds
    expected = "milliseconds" if units == 1000 else "seconds or hours:minutes:seconds"
    cues, written = [], []
    for number, cells in rows:
        where = f"line {number}"
        if len(cells) != len(header):
            left_out.add(
                UNREADABLE,
                f"{path}, {where}: got {len(cells)} columns; expected the header's {len(header)}; "
                "correct that line.",
            )
            continue
        row = dict(zip(header, cells, strict=True))
        try:
            start, end = (read(row[name]) for name in names)
        except ValueError:
            wrong = next(row[name] for name in names if not _can_read(read, row[name]))
            left_out.add(
                UNREADABLE,
                f"{path}, {where}: got the time {wrong[:40]!r}; expected {expected}; correct that "
                "line.",
            )
            continue
        label = row[label_column].strip() if label_column is not None else ""
        cues.append(Cue(where, start, end, (row[text_column],), label))
        written += [row[name].strip() for name in names]
    if units is None:
        units = _units_a_second(path, cues, written, set(header))
    if units == 1:
        return cues
    return [
        Cue(cue.where, cue.start / units, cue.end / units, cue.lines, cue.label)  # type: ignore[operator]
        for cue in cues
    ]


def _can_read(read: Callable[[str], float], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _units_a_second(
    path: pathlib.Path, cues: list[Cue], written: list[str], header: set[str]
) -> int:
    """Return 1 for a table of seconds, 1000 for one of milliseconds."""
    times = [(cue.start, cue.end) for cue in cues if cue.end is not None]
    lengths = [end - start for start, end in times if start < end < math.inf]
    if not lengths:
        return 1
    middle = statistics.median(lengths)
    plain = any("." in time or ":" in time for time in written)  # Decimals and clocks are seconds.
    if header != _WHISPER:
        if plain or middle < _LONGEST or header & set(_LABEL_COLUMNS):
            return 1
    elif plain:
        if middle < _LONGEST:
            return 1
    else:
        characters = sum(len(" ".join(cue.lines).strip()) for cue in cues)
        rate = characters * 1000 / math.fsum(lengths)
        latest = max(end for start, end in times if start < end < math.inf)
        if rate <= _FASTEST and (middle >= _SHORTEST * 1000 or latest > _LAST_SECOND):
            return 1000
        if rate >= _IMPOSSIBLE and middle < _LONGEST:
            return 1
    raise ValueError(
        f"{path}, {cues[0].where}: got the times {written[0]} and {written[1]}, which may be "
        "seconds or milliseconds; expected column names with the unit; name the columns "
        "start_seconds and end_seconds, or start_ms and end_ms."
    )
