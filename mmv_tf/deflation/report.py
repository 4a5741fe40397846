# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Deflation report, as text and as a plot."""

from __future__ import annotations

import os
from typing import Any

STAGES = {
    "naive": "naive",
    "start": "start",
    "closed_form": "closed form",
    "fitted": "fitted",
    "pointwise": "1x1 kernels fitted too",
}
_COLOURS = {
    "naive": "#b2182b",
    "start": "#ef8a62",
    "closed_form": "#67a9cf",
    "fitted": "#2166ac",
    "pointwise": "#5e3c99",
}


def stages(report: dict[str, Any]) -> list[str]:
    """Return the stages to show; "start" only if it differs from the naive stage."""
    return [
        name
        for name in STAGES
        if name in report and (name != "start" or report["start"] != report["naive"])
    ]


def format_report(report: dict[str, Any]) -> str:
    """Return the table of agreement on held-out images, speed and time, as text."""
    lines = [f"{'agreement on static clips':<28}{'L1':>10}{'cosine':>10}{'rel. error':>12}"]
    for stage in stages(report):
        values = report[stage]
        lines.append(
            f"{STAGES[stage]:<28}{values['l1']:10.5f}{values['cosine']:10.5f}"
            f"{values['relative_error']:12.5f}"
        )
    seconds = report["seconds"]
    lines.append(
        f"{100 * _left(report, 'fitted'):.0f}% of the naive L1 gap remains on "
        f"{report['held_out']} held-out images (fitted on {report['images']}; original "
        f"{seconds['original']:.0f} s, closed form {seconds['closed_form']:.0f} s, L1 "
        f"{seconds['fitted']:.0f} s)."
    )
    if "pointwise" in report:
        lines.append(
            f"With 1x1 kernels fitted too, {100 * _left(report, 'pointwise'):.0f}% remains "
            f"(another {seconds['pointwise']:.0f} s)."
        )
    if "speed" in report:
        speed = report["speed"]
        lines.append(
            f"An image takes {1e3 * speed['image_seconds']:.1f} ms, the static "
            f"{speed['num_frames']}-frame clip {1e3 * speed['clip_seconds']:.1f} ms: "
            f"{speed['ratio']:.1f} times faster, with {speed['multiplications_ratio']:.1f} times "
            "fewer multiplications."
        )
        if "bytes_ratio" in speed:
            lines.append(
                f"Beyond weights and input, it takes {speed['image_bytes'] / 1e6:.1f} MB, the clip "
                f"{speed['clip_bytes'] / 1e6:.1f} MB: {speed['bytes_ratio']:.1f} times less."
            )
    return "\n".join(lines)


def _left(report: dict[str, Any], stage: str) -> float:
    return report[stage]["l1"] / max(report["naive"]["l1"], 1e-12)


def plot_report(report: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Plot the relative error of each layer and of the representation, stage by stage.

    Args:
      report: the result of `fit_deflated`.
      path: a .png file.
    """
    layers = report["layers"]
    import matplotlib.figure  # imported here because it is slow to import

    figure = matplotlib.figure.Figure(figsize=(9, 4.5), layout="constrained")
    by_layer, whole = figure.subplots(1, 2, width_ratios=(4, 1))
    shown = stages(report)
    for stage in shown:
        errors = [100 * layer[stage]["relative_error"] for layer in layers]
        by_layer.plot(errors, label=STAGES[stage], color=_COLOURS[stage], linewidth=1.5)
    by_layer.set(
        xlabel="batch norm, in the order of computation",
        ylabel="relative error against the static clip, %",
        title="Activated output of each batch norm (mean over time)",
    )
    by_layer.set_ylim(bottom=0)
    by_layer.legend(frameon=False)
    by_layer.grid(alpha=0.3)
    for place, stage in enumerate(shown):
        value = 100 * report[stage]["relative_error"]
        whole.bar(place, value, color=_COLOURS[stage])
        whole.text(place, value, f"{value:.1f}", ha="center", va="bottom", fontsize=9)
    whole.set_xticks(range(len(shown)), [STAGES[s] for s in shown], rotation=45, ha="right")
    whole.set_title("Representation")
    figure.savefig(path, dpi=120, format="png")
