# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Statements about the results, with their statistical significance."""

from __future__ import annotations

from typing import Any

_LEVEL = 0.05  # ours
# Retrieval directions as shown in the report.
DIRECTIONS = {
    "text -> video": "sentence → clip",
    "video -> audio": "clip → its audio",
    "audio -> text": "audio → sentence",
}


def clock(seconds: float) -> str:
    """Format a time as minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


def p_value(metrics: dict[str, Any], key: str) -> str:
    """Format a p-value; a dash if there are too few blocks for a p-value."""
    return f"{metrics[key]:.4f}" if key in metrics else "-"


def summary(results: dict[str, Any]) -> str:
    """Summarize the results in a few lines, for the terminal."""
    lines = []
    for name, metrics in results["retrieval"].items():
        lines.append(
            f"{name}: median rank {metrics['median_rank']:g} of {metrics['count']} "
            f"(chance {metrics['chance/median_rank']:g}), "
            f"p = {p_value(metrics, 'p_value_blocks')} for the scene, "
            f"{p_value(metrics, 'p_value_within_blocks')} for the clip within it"
        )
    for modality, metrics in results["linear_probe"]["trained"].items():
        untrained = results["linear_probe"]["untrained"][modality]
        low, high = metrics["interval"]
        lines.append(
            f"subject from {modality} features: {100 * metrics['accuracy']:.0f} % "
            f"[{100 * low:.0f}, {100 * high:.0f}] (untrained {100 * untrained['accuracy']:.0f} %, "
            f"majority class {100 * metrics['majority']:.0f} %)"
        )
    deflation = results["deflation"]
    lines.append(
        f"image encoder: cosine {deflation['fitted']['cosine']:.4f} with the video network on "
        f"static clips ({deflation['naive']['cosine']:.4f} before the fit), "
        f"{deflation['speed']['ratio']:.1f} times faster"
    )
    return "\n".join(lines)


def verdicts(results: dict[str, Any]) -> list[str]:
    """State for each direction whether the scene and the clip within it are found."""
    found = []
    for name, metrics in results["retrieval"].items():
        title = f"{DIRECTIONS[name]}:"
        if "p_value_blocks" not in metrics:
            found.append(f"{title} with a single time block, scenes can't be tested.")
            continue
        scene, clip = metrics["p_value_blocks"], metrics["p_value_within_blocks"]
        if scene >= _LEVEL:
            found.append(f"{title} no evidence that the correct scene is found (p = {scene:.4f}).")
        elif clip >= _LEVEL:
            found.append(
                f"{title} the correct scene is found (p = {scene:.4f}), "
                f"but not the correct clip within it (p = {clip:.4f})."
            )
        else:
            found.append(
                f"{title} the correct scene is found (p = {scene:.4f}), "
                f"and so is the correct clip within it (p = {clip:.4f})."
            )
    return found
