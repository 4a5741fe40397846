# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Lists as tables and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence

from mmv_tf.search.edit_lists.cleaning import cell, one_line
from mmv_tf.search.edit_lists.entries import Entry
from mmv_tf.search.edit_lists.timecode import Rate

_MOST_TEXT = 10_000  # characters per cell; spreadsheets allow 32,767
COLUMNS = ("id", "file", "start", "end", "start_timecode", "end_timecode", "score", "captions")


def csv_table(title: str, entries: Sequence[Entry], rate: Rate) -> str:
    """Return a table with one row per moment, for spreadsheets: no cell is a formula.

    A cell that would be a formula is prefixed with an apostrophe.
    """
    del title
    file = io.StringIO()
    file.write("\ufeff")  # by which spreadsheets recognize UTF-8
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for entry in entries:
        begin = rate.frames(entry.film.begin)
        writer.writerow(
            [
                cell(entry.key, _MOST_TEXT),
                cell(entry.film.name, _MOST_TEXT),
                f"{entry.start:.3f}",
                f"{entry.end:.3f}",
                rate.timecode(begin + rate.frames(entry.start)),
                rate.timecode(begin + rate.frames(entry.end)),
                # A negative number is not text that a spreadsheet could execute.
                "" if entry.score is None else f"{entry.score:.5f}",
                cell(entry.said, _MOST_TEXT),
            ]
        )
    return file.getvalue()


def json_list(title: str, entries: Sequence[Entry], rate: Rate) -> str:
    """Return an object with the moments and their captions, cue by cue."""
    moments = []
    for entry in entries:
        moment = {
            "id": entry.key,
            "file": one_line(entry.film.name, _MOST_TEXT),
            "start": round(entry.start, 3),
            "end": round(entry.end, 3),
            "captions": [
                {"start": caption.start, "end": caption.end, "text": caption.text}
                for caption in entry.captions
            ],
        }
        if entry.score is not None:
            moment["score"] = round(entry.score, 5)
        moments.append(moment)
    body = {"title": title, "frame_rate": str(rate.value), "moments": moments}
    return json.dumps(body, indent=1) + "\n"
