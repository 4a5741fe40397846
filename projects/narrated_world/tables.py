# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tables for the narrated world: models on clips, and deflated models on single frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import scipy.stats

from projects import narrated_world
from projects.narrated_world import scoring as scoring

_MISSING = "-"
_Measure = Callable[[Mapping[str, Any]], float | None]


def rows(results: Mapping[str, Any]) -> list[tuple[str, float | None, dict[str, list[float]]]]:
    """Return the table's values.

    Args:
      results: the results of `comparison.run`.

    Returns:
      (metric, chance, variant -> its value for each seed, in [0, 1]) for each row; variants without
      the metric are missing.
    """
    table = []
    for label, chance, measure in _measures(results["chance"]):
        values = {}
        for name, runs in results["runs"].items():
            found = [measure(runs[seed]) for seed in sorted(runs, key=int)]
            if found and None not in found:
                values[name] = [float(value) for value in found if value is not None]
        table.append((label, chance, values))
    return table


def markdown(results: Mapping[str, Any]) -> str:
    """Return the table in Markdown: mean over the seeds and its 95 % interval (t), in percent."""
    names = list(results["runs"])
    titles = [results["config"]["variants"][name]["title"] for name in names]
    lines = [
        "| % | chance | " + " | ".join(titles) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for label, chance, values in rows(results):
        cells = [_MISSING if chance is None else f"{100 * chance:.1f}"]
        cells += [_cell(values.get(name)) for name in names]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def differences_markdown(results: Mapping[str, Any], to: str = "fac") -> str:
    """Return the gains of other variants over a reference, with 95 % intervals (t), in points.

    Models with the same seed are trained on the same clips in the same order, so differences are
    computed per seed: they vary less than the models themselves.

    Args:
      results: the results of `comparison.run`.
      to: the reference variant.
    """
    titles = {name: results["config"]["variants"][name]["title"] for name in results["runs"]}
    others = [name for name in results["runs"] if name != to]
    lines = [
        f"| points above {titles[to]} | " + " | ".join(titles[name] for name in others) + " |",
        "|---|" + "---|" * len(others),
    ]
    for label, _, values in rows(results):
        if to not in values:
            continue
        cells = [
            _cell([a - b for a, b in zip(values[name], values[to], strict=True)], sign="+")
            if len(values.get(name, ())) == len(values[to])
            else _MISSING
            for name in others
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


# Facts that single frames show.
_SEEN_IN_FRAMES = ("shape", "colour", "size", "motion")
_IMAGE_ROWS = {
    "start": "naive deflation",
    "closed_form": "deflated, closed form",
    "fitted": "deflated, fitted",
    "pointwise": "deflated, 1x1 kernels fitted too",
    "clip": "inflated input (static clip)",
}


def images_markdown(results: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    """Return the table of deflated models: mean over the seeds and its 95 % interval, in percent.

    Args:
      results: the results of `images.run`.
      titles: variant -> its title.
    """
    columns = ["left", "100 x cosine", *_SEEN_IN_FRAMES, "their mean"]
    chances = [results["chance"][factor] for factor in _SEEN_IN_FRAMES]
    chances.append(float(np.mean(chances)))
    lines = [
        "| network | image features | " + " | ".join(columns) + " |",
        "|---|---|" + "---|" * len(columns),
        "| | chance | - | - | " + " | ".join(f"{100 * chance:.1f}" for chance in chances) + " |",
    ]
    for name, runs in results["runs"].items():
        for row, label in _IMAGE_ROWS.items():
            cells = [
                _cell([fit[row][key] / fit["naive"][key] for fit in _fits(runs, row)])
                if key == "l1"
                else _cell([fit[row][key] for fit in _fits(runs, row)])
                for key in ("l1", "cosine")
            ]
            found = [run["probe"].get(row) for run in runs.values()]
            if None in found:
                continue
            seen = np.array([[values[factor] for factor in _SEEN_IN_FRAMES] for values in found])
            seen = np.concatenate([seen, seen.mean(axis=1, keepdims=True)], axis=1)
            cells += [_cell(list(column)) for column in seen.T]
            lines.append(f"| {titles[name]} | {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _fits(runs: Mapping[str, Any], stage: str) -> list[Mapping[str, Any]]:
    """Return the fit reports that include a stage."""
    return [run["fit"] for run in runs.values() if stage in run["fit"]]


def _cell(values: list[float] | None, sign: str = "") -> str:
    """Return mean ± half the 95 % interval of the mean (t), in percent."""
    if not values:
        return _MISSING
    percent = 100 * np.asarray(values)
    if len(percent) == 1:
        return f"{percent[0]:{sign}.1f}"
    half = scipy.stats.t.ppf(0.975, len(percent) - 1) * scipy.stats.sem(percent)
    return f"{percent.mean():{sign}.1f} ± {half:.1f}"


def _measures(chance: Mapping[str, Any]) -> list[tuple[str, float | None, _Measure]]:
    """Return (label, chance, function that extracts the metric from a run's scores)."""
    measures: list[tuple[str, float | None, _Measure]] = []
    for direction, recalls in chance["retrieval"].items():
        for recall, value in recalls.items():
            if direction == scoring.SAME_COARSE and recall != "R@1":
                continue
            measures.append((f"{direction}: {recall}", value, _retrieval(direction, recall)))
    known = chance["probe"]["any"]
    for modality in ("video", "audio"):
        for kind, factors in (("coarse", narrated_world.COARSE), ("fine", narrated_world.FINE)):
            for factor in factors:
                measures.append(
                    (
                        f"{modality} features, {kind}: {factor}",
                        known[factor],
                        _probe(f"{modality}/before_head", (factor,)),
                    )
                )
    for modality in ("video", "audio"):
        for space in ("va", "vat", "vt"):
            if (modality, space) == ("audio", "vt"):
                continue
            for kind, factors in (("coarse", narrated_world.COARSE), ("fine", narrated_world.FINE)):
                value = float(np.mean([known[factor] for factor in factors]))
                label = f"{modality} in `{space}`, mean of {kind}"
                measures.append((label, value, _probe(f"{modality}/{space}", tuple(factors))))
    return measures


def _retrieval(direction: str, recall: str) -> _Measure:
    def measure(scores: Mapping[str, Any]) -> float | None:
        found = scores["retrieval"].get(direction)
        return None if found is None else found[recall]

    return measure


def _probe(features: str, factors: tuple[str, ...]) -> _Measure:
    def measure(scores: Mapping[str, Any]) -> float | None:
        found = scores["probe"].get(features)
        return None if found is None else float(np.mean([found[factor] for factor in factors]))

    return measure
