# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Reads tables of captions: TSV and CSV, of people, of Whisper and of HowTo100M."""

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
# The names of the columns of times, and how many of their units make a second; None: see _unit.
_TIME_COLUMNS = {
    ("start", "end"): None,
    ("start_seconds", "end_seconds"): 1,
    ("start_ms", "end_ms"): 1000,
}
# Whisper and whisper.cpp write whole milliseconds under these names and no others.
_WHISPER = {"start", "end", "text"}
# Ours. People say 5 to 25 characters a second. A table whose whole numbers as milliseconds give at
# most the first rate has milliseconds; one that gives at least the second has seconds.
_FASTEST, _IMPOSSIBLE = 60.0, 500.0
# Ours. In the middle, a caption that is said is longer than half a second, and one of a table of
# seconds shorter than 500.
_SHORTEST, _LONGEST = 0.5, 500.0
# Ours. Whole numbers above this are no seconds of a film.
_LAST_SECOND = 12 * 3600


def table_seconds(text: str) -> float:
    """Seconds of "12.5" or "0:12.5"; ValueError holding the text for anything else."""
    try:
        return float(text)
    except ValueError:
        return parse_clock(text).decimal()


def parse_table(path: pathlib.Path, text: str, left_out: LeftOut) -> list[Cue]:
    """The rows of a table with a header line; rows that can't be read are left out and counted.

    Times are seconds or [hours:]minutes:seconds; columns start_ms and end_ms hold milliseconds,
    start_seconds and end_seconds seconds. Whisper's tables have exactly the columns start, end and
    text, and whole numbers. Such are milliseconds if the text can be said in them (at most 60
    characters a second, and half a second in the middle of all captions or more than 12 hours of
    seconds in all), and seconds if it can't by far (500 characters a second). The limits are ours.

    Raises:
      ValueError: the header lacks a column; or times may be seconds or milliseconds: whole numbers
        between those limits, or captions of which the middle one is longer than 500 s.
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
            "caption and perhaps label; add a header line with these names."
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
    """1 for a table of seconds, 1000 for one of milliseconds."""
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
        "seconds or milliseconds; expected times that say which; name the columns start_seconds "
        "and end_seconds, or start_ms and end_ms."
    )
