# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Report on the sources, one row each, as a table for people and for the manifest."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

from mmv_tf.util.storage.urls import name_of, named_in
from mmv_tf.util.text_files import printable_name

# Statuses of a source in addition to the worker pool's. The first four still give clips.
OK, NO_AUDIO, SILENT, NO_CAPTIONS = "ok", "no audio", "silent", "no captions"
TOO_SHORT, TOO_LONG, MISSING = "too short", "too long", "missing"

# Ours: for larger data sets, the table shows only sources with problems.
_ALL_ROWS = 50


@dataclasses.dataclass
class SourceReport:
    """Outcome of a source: one row of the report.

    Attributes:
      media_id, path: the source's id and path.
      status: one of those above, or `CORRUPT` or `TIMEOUT` from the worker pool.
      reason: reason why the status is not OK.
      seconds: the source's duration.
      clips: number of clips.
      left_out: counts of parts left out, by reason ("captions_without_length").
      first_left_out: for each reason, a short message about the first part left out.
    """

    media_id: str
    path: str
    status: str = OK
    reason: str = ""
    seconds: float = 0.0
    clips: int = 0
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    first_left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.path = printable_name(name_of(self.path))

    def fail(self, status: str, reason: str) -> None:
        """Record a failure, keeping the first reason."""
        if not self.reason:
            self.status, self.reason = status, printable_name(named_in(reason))

    def leave_out(self, reason: str, count: int = 1, first: str = "") -> None:
        """Count parts of the source that were left out.

        Args:
          reason: reason in snake case; see `left_out`.
          count: number of additional parts.
          first: message about the first of them, which is kept up to its first "; ".
        """
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count
            if first:
                self.first_left_out.setdefault(
                    reason, printable_name(named_in(first.split("; ")[0]))
                )


def format_report(manifest: dict[str, Any], all_rows: bool = False) -> str:
    """Format the sources as a table, followed by the counts by split.

    Args:
      manifest: manifest from `prepare`.
      all_rows: whether to show all sources; by default, at most 50 of those with problems are shown
        if there are more than 50 sources.
    """
    shown = manifest["sources"]
    if len(shown) > _ALL_ROWS and not all_rows:
        shown = [row for row in shown if row["status"] != OK or row.get("left_out")][:_ALL_ROWS]
    lines = _table(shown) if shown else []
    if len(shown) < len(manifest["sources"]):
        counts = collections.Counter(row["status"] for row in manifest["sources"])
        listed = ", ".join(f"{count} {status}" for status, count in counts.most_common())
        lines.append(f"{len(manifest['sources'])} sources: {listed}; all rows: manifest.json")
    passed_over = manifest.get("passed_over")
    if passed_over:
        listed = ", ".join(f"{count} {name}" for name, count in passed_over.items())
        lines.append(f"files passed over: {_printable(listed)}")
    for name, split in manifest["splits"].items():
        size = sum(shard["bytes"] for shard in split["shards"])
        parts = (
            _counted(split["num_examples"], "clip"),
            _counted(split.get("num_captions", 0), "caption"),
            _counted(len(split["shards"]), "shard"),
        )
        lines.append(f"{name}: {', '.join(parts)}, {size / 1e6:.1f} MB")
    return "\n".join(lines)


def format_dropped(dropped: dict[str, int]) -> str:
    """Format counts by reason as one line, which is empty if there are none."""
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in dropped.items() if n)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _left_out(source: dict[str, Any]) -> str:
    """Format the counts of a source's parts left out, with the first part for each reason."""
    first = source.get("first_left_out", {})
    parts = (
        format_dropped({name: count}) + (f" (first: {first[name]})" if name in first else "")
        for name, count in source.get("left_out", {}).items()
    )
    return ", ".join(map(_printable, parts))


def _table(sources: list[dict[str, Any]]) -> list[str]:
    """Format rows as aligned columns."""
    rows = [("source", "status", "seconds", "clips", "reason")]
    for source in sources:
        seconds, clips = f"{source['seconds']:.1f}", str(source["clips"])
        # A file name may contain a line break, which would break the table.
        name, reason = (_printable(source[key]) for key in ("media_id", "reason"))
        left_out = _left_out(source)
        reason = "; ".join(filter(None, (reason, left_out and f"left out: {left_out}")))
        rows.append((name, source["status"], seconds, clips, reason))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = []
    for row in rows:
        cells = [
            *(cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)),
            *(cell.rjust(width) for cell, width in zip(row[2:4], widths[2:], strict=True)),
            row[4],
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
