# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report as a Markdown page."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.work import Row
from benchmarks.measure import rounded

_TITLES = {
    "parity": "Parity with the CPU in float32",
    "speed": "Speed",
    "reading": "Training from shards",
    "images": "Images in the deflated model",
    "export": "Export and serving",
}
_NOTES = {
    "parity": "Two clips, the same random weights, three training steps of S3D-G. Differences are "
    "in units of the root mean square of the embeddings. float16 skips steps until its loss scale "
    "fits.",
    "reading": "Reading only, training steps only, and training steps with reading.",
    "images": "Compared with clips that repeat the image.",
}


def make_page(results: dict[str, Any]) -> str:
    """Return the page of a report's results."""
    where = f"{results['device']}, {results['cores']} cores of {results['processor']}"
    lines = [
        "# GPU report",
        "",
        f"{where}, TensorFlow {results['tensorflow']}; {results['seconds']:.0f} s in total.",
    ]
    if not results["on_gpu"]:
        lines += [
            "",
            "**No GPU was found. The code was only checked on the CPU with small sizes.**",
        ]
    for part, title in _TITLES.items():
        rows = [row for row in results["rows"] if row["part"] == part]
        if rows:
            lines += ["", f"## {title}", ""]
            lines += [_NOTES[part], ""] if part in _NOTES else []
            lines += _table(rows)
    if results["left_out"]:
        lines += ["", "## Not measured for lack of time", ""]
        lines += [f"- {what}" for what in results["left_out"]]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> list[str]:
    """Return a table with the columns of all rows, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "part"))
    head = [column.replace("_", " ") for column in columns]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_cell(row.get(c, '')) for c in columns)} |" for row in rows]
    return lines


def _cell(value: Any) -> str:
    return f"{rounded(value):g}" if isinstance(value, float) else str(value)
