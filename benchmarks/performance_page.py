# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Makes docs/measurements/performance.md from results and the texts in `benchmarks.figures`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.collect import BUSY
from benchmarks.figures import Figure, Result

_HEAD = """# Performance

Made by `make benchmark`, which runs the programs of `benchmarks/`; change
`benchmarks/figures.py`, not this page. Peers run in the same minute, in turn with us; the
figures are medians on the whole path of a user's call. "x" is how many times as fast, or as much.
PyTorch is the fastest of its layouts (contiguous, channels last), eager or compiled, in forward
passes with batch norms folded like ours; it is left out where it is not installed:

    make benchmark TORCH=PATH     # a Python that has torch and numpy
    make benchmark ONLY=forward   # one program; the others keep their figures

What bounds a figure was measured, in the same program or by a profile, unless the text says that it
is a guess.
"""


def make_page(results: Mapping[str, Result], figures: Sequence[Figure]) -> str:
    """Return the page's text.

    Args:
      results: name of the run -> its result.
      figures: the table's lines.
    """
    parts = [_HEAD, *_machines(results), *_busy(results), *_table(results, figures)]
    parts += _torch(results)
    if "growth" in results:
        parts += _growth(results["growth"])
    return "\n".join(parts) + "\n"


def value_of(results: Mapping[str, Result], figure: Figure) -> float | None:
    """Return a figure's value, or None if it was not measured."""
    try:
        return figure.value(results[figure.run])
    except KeyError:
        return None


def _machines(results: Mapping[str, Result]) -> list[str]:
    """Return one line for each machine and day, most often one; and the duration of the runs."""
    minutes = sum(result.get("took_seconds", 0) for result in results.values()) / 60
    took = [f"The programs took {minutes:.0f} minutes in all.\n"] if minutes >= 1 else []
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        kinds = ", ".join(result["instructions"])
        where = f"{result['cores']} cores of {result['processor']} ({kinds}), {result['date']}"
        found.setdefault(where, []).append(name)
    if len(found) == 1:
        return [*(f"Measured on {where}.\n" for where in found), *took]
    return [*(f"- {where}: {', '.join(names)}" for where, names in found.items()), "", *took]


def _busy(results: Mapping[str, Result]) -> list[str]:
    """Return a warning if other programs ran beside, which affects PyTorch more than us."""
    names = [name for name, result in results.items() if result.get("busy_before", 0) > BUSY]
    if not names:
        return []
    text = "Other programs ran beside these, so their ratios to PyTorch are not to be trusted: "
    return [f"**{text}{', '.join(names)}.**\n"]


def _table(results: Mapping[str, Result], figures: Sequence[Figure]) -> list[str]:
    rows = ["| figure | wanted | measured | | what bounds it |", "|---|---|---|---|---|"]
    for figure in figures:
        value = value_of(results, figure)
        measured = "not measured" if value is None else f"{_number(value)}{_unit(figure)}"
        cells = [figure.what, _wanted(figure), measured, _verdict(figure, value), figure.bound]
        rows.append(f"| {' | '.join(cells)} |")
    return [*rows, ""]


def _verdict(figure: Figure, value: float | None) -> str:
    limit = figure.at_least if figure.at_least is not None else figure.at_most
    if value is None or limit is None:
        return ""
    if figure.met(value):
        return "met"
    share = abs(value - limit) / limit
    return f"**missed** by {100 * share:.0f} %"


def _wanted(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"at least {figure.at_least:g}{_unit(figure)}"
    if figure.at_most is not None:
        return f"at most {figure.at_most:g}{_unit(figure)}"
    return ""


def _unit(figure: Figure) -> str:
    return " x" if figure.unit == "x" else figure.unit


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _torch(results: Mapping[str, Result]) -> list[str]:
    found = {name: result["torch"] for name, result in results.items() if "torch" in result}
    if not found:
        return []
    versions = sorted({torch["torch"] for torch in found.values() if "torch" in torch})
    forms = list(dict.fromkeys(form for torch in found.values() for form in torch["tried_seconds"]))
    lines = [
        "## PyTorch's forms",
        "",
        f"Seconds in the trials that chose the fastest, PyTorch {', '.join(versions)}.",
        "",
        f"| | {' | '.join(form.replace('_', ' ') for form in forms)} |",
        "|---" * (len(forms) + 1) + "|",
    ]
    for name, torch in found.items():
        cells = [torch["tried_seconds"].get(form, "not tried") for form in forms]
        shown = [cell if isinstance(cell, str) else f"{cell:.3g}" for cell in cells]
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return [*lines, ""]


def _growth(growth: Result) -> list[str]:
    lines = [
        "## How cost grows",
        "",
        "S3D-G in float32. The last column but one is the time divided by what the network sees, "
        "in clips of 32 x 224 x 224.",
    ]
    for title, rows in (("forward pass", growth["forward"]), ("training step", growth["steps"])):
        lines += [
            "",
            f"| {title}: clips | frames | size | seconds | a large clip, seconds | memory |",
        ]
        lines.append("|---|---|---|---|---|---|")
        for row in rows:
            memory = f"{row['peak_bytes'] / 2**30:.2f} GiB" if "peak_bytes" in row else ""
            cells = [row["clips"], row["frames"], row["size"], _number(row["seconds"])]
            cells += [_number(row["seconds_per_large_clip"]), memory]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += [
        "",
        "| processes that pass clips of 32 x 224 x 224 forward | clips a second |",
        "|---|---|",
    ]
    lines += [
        f"| {row['processes']} | {_number(row['clips_per_second'])} |"
        for row in growth["processes"]
    ]
    return [*lines, ""]


def summary(results: Mapping[str, Any], figures: Sequence[Figure]) -> list[str]:
    """Return the table's measured lines, for a terminal."""
    lines = []
    for figure in figures:
        value = value_of(results, figure)
        if value is not None:
            verdict = _verdict(figure, value).replace("*", "")
            lines.append(f"{figure.what}: {_number(value)}{_unit(figure)} {verdict}".rstrip())
    return lines
