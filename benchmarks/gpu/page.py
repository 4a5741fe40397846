# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The report as a Markdown page."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu.report import Row, described
from benchmarks.measure import rounded

_TITLES = {
    "parity": "Agreement with the CPU in float32",
    "reading": "Training from shards",
    "export": "Export and serving",
    "images": "Images in the deflated model",
    "speed": "Speed",
}
_NOTES = {
    "parity": "Two clips and the same random weights. The largest cosine distance and difference "
    "of an embedding; differences are in units of the root mean square. S3D-G is also trained for "
    "three steps, whose losses differ by these fractions; float16 skips steps until its loss scale "
    "fits. Only the first loss is from the same weights: differences grow from step to step.",
    "reading": "Reading only, training steps only, and training steps with reading, in "
    "mixed_bfloat16.",
    "export": "One clip. Differences from the model are in units of the root mean square.",
    "images": "Compared with clips that repeat the image.",
    "speed": "`FAC step` is the trainer's step with video, audio and text; `step` is one of the "
    "video backbone alone. The first call traces, compiles and tunes; the others are timed "
    "together, with one wait at the end. Inputs are on the device already. TF32 is TensorFlow's "
    "default for float32 on GPUs that have it.",
}


def make_page(results: dict[str, Any]) -> str:
    """Return the page of a report's results."""
    facts = results["facts"]
    where = f"{facts['device']}, {facts['cores']} cores of {facts['processor']}"
    lines = [
        "# GPU report",
        "",
        f"{where}, TensorFlow {facts['tensorflow']}; {results['seconds']:.0f} s in total.",
    ]
    if facts["gpus"] > 1:
        lines += ["", f"{facts['gpus']} GPUs were found; only the first was used."]
    if not facts["gpus"]:
        lines += [
            "",
            "**No GPU was found. The code was only checked on the CPU with small sizes: the "
            "speeds below mean nothing.**",
        ]
    failed = [row for row in results["rows"] if "problem" in row]
    if failed:
        lines += ["", f"{len(failed)} of {len(results['rows'])} measurements have a problem:", ""]
        lines += [f"- {_name(row)}: {row['problem']}" for row in failed]
    for part, title in _TITLES.items():
        rows = [row for row in results["rows"] if row["part"] == part and "problem" not in row]
        if rows:
            lines += ["", f"## {title}", "", _NOTES[part], "", *_table(rows)]
    if results["skipped"]:
        lines += ["", "## Not measured", ""]
        lines += [f"- {_name(row)}: {row['reason']}" for row in results["skipped"]]
    return "\n".join(lines) + "\n"


def _name(row: Row) -> str:
    """Return a case in words, without what was found."""
    return described({k: v for k, v in row.items() if k not in ("problem", "reason", "peak_gb")})


def _table(rows: list[Row]) -> list[str]:
    """Return a table with the columns of all rows, in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "part"))
    head = [column.replace("_", " ") for column in columns]
    # Figures are aligned at the right.
    first = {column: next(row[column] for row in rows if column in row) for column in columns}
    rule = "|".join("---" if isinstance(first[column], str) else "--:" for column in columns)
    lines = [f"| {' | '.join(head)} |", f"|{rule}|"]
    lines += [f"| {' | '.join(_cell(row.get(c, '')) for c in columns)} |" for row in rows]
    return lines


def _cell(value: Any) -> str:
    return f"{rounded(value):g}" if isinstance(value, float) else str(value)
