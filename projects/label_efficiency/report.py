# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Table and plot of the study."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from projects.label_efficiency.intervals import mean_and_interval
from projects.label_efficiency.study import ARMS, FINE_TUNED, LINEAR, NETWORK, NOTHING
from projects.label_efficiency.tasks import ESC10, WORLD

_TASKS = {WORLD: "The narrated world", ESC10: "ESC-10"}
_ARMS = {
    (LINEAR, NETWORK): "linear, frozen network",
    (LINEAR, NOTHING): "linear, frozen random weights",
    (FINE_TUNED, NETWORK): "fine-tuned, from the network",
    (FINE_TUNED, NOTHING): "fine-tuned, from scratch",
}
_COLORS = {
    (LINEAR, NETWORK): "tab:blue",
    (LINEAR, NOTHING): "tab:gray",
    (FINE_TUNED, NETWORK): "tab:green",
    (FINE_TUNED, NOTHING): "tab:orange",
}
_Estimate = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Row:
    """Results for one share of a data set's labels.

    Attributes:
      share: share of the labels.
      labels: mean number of labeled examples.
      accuracy: (classifier, start) -> mean and interval, if there are runs for all seeds.
      gains: classifier -> mean and interval of the accuracy from the network minus the accuracy
        from scratch, if both exist.
    """

    share: float
    labels: float
    accuracy: dict[tuple[str, str], _Estimate]
    gains: dict[str, _Estimate]


def rows(results: Mapping[str, Any], task: str) -> list[Row]:
    """Return the rows of a data set, for the shares that have any result."""
    _, groups = _places(results["tasks"][task])
    table = []
    for share in results["config"]["shares"]:
        right = {arm: _right(results, task, share, arm) for arm in ARMS}
        found = {arm: values for arm, values in right.items() if values is not None}
        if not found:
            continue
        gains = {
            kind: mean_and_interval(found[kind, NETWORK] - found[kind, NOTHING], groups)
            for kind in (LINEAR, FINE_TUNED)
            if (kind, NETWORK) in found and (kind, NOTHING) in found
        }
        labels = [
            run["labels"] for run in results["runs"] if (run["task"], run["share"]) == (task, share)
        ]
        accuracy = {arm: mean_and_interval(values, groups) for arm, values in found.items()}
        table.append(Row(share, float(np.mean(labels)), accuracy, gains))
    return table


def _right(
    results: Mapping[str, Any], task: str, share: float, arm: tuple[str, str]
) -> np.ndarray | None:
    """Return 1 or 0 per seed and test item, NaN if not tested; None if runs are missing."""
    places, groups = _places(results["tasks"][task])
    divisions_of = results["tasks"][task]["divisions_of"]
    seeds = list(results["config"]["seeds"])
    right = np.full([len(seeds), len(groups)], np.nan)
    missing = {
        (seed, name) for seed, names in zip(seeds, divisions_of, strict=True) for name in names
    }
    for run in results["runs"]:
        if (run["task"], run["share"], run["classifier"], run["start"]) == (task, share, *arm):
            digits = [int(digit) for digit in run["right"]]
            right[seeds.index(run["seed"]), places[run["division"]]] = digits
            missing.discard((run["seed"], run["division"]))
    return None if missing else right


def _places(task: Mapping[str, Any]) -> tuple[dict[str, slice], list[str]]:
    """Return the columns of each division's test items, and the group of each column."""
    places: dict[str, slice] = {}
    groups: list[str] = []
    for name, tested in task["tested"].items():
        places[name] = slice(len(groups), len(groups) + len(tested["items"]))
        groups += tested["groups"]
    return places, groups


def markdown(results: Mapping[str, Any], task: str) -> str:
    """Return a data set's table: accuracies in percent and gains in points, with intervals."""
    lines = [
        "| labels | examples | "
        + " | ".join(_ARMS.values())
        + " | gain, linear | gain, fine-tuned |",
        "|---|---|" + "---|" * (len(_ARMS) + 2),
    ]
    for row in rows(results, task):
        cells = [f"{100 * row.share:.0f} %", f"{row.labels:.0f}"]
        cells += [_cell(row.accuracy.get(arm), "") for arm in _ARMS]
        cells += [_cell(row.gains.get(kind), "+") for kind in (LINEAR, FINE_TUNED)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(results: Mapping[str, Any]) -> str:
    """Return the tables of all data sets, each under its heading."""
    parts = []
    for name in results["tasks"]:
        chance = 100 / len(results["tasks"][name]["classes"])
        parts.append(f"{_TASKS[name]} (chance {chance:.1f} %):\n\n{markdown(results, name)}\n")
    return "\n".join(parts)


def by_division(results: Mapping[str, Any], task: str, share: float) -> dict[str, float]:
    """Return the accuracy of fine-tuning from scratch, for each division of a data set."""
    return {
        run["division"]: run["right"].count("1") / len(run["right"])
        for run in results["runs"]
        if (run["task"], run["share"], run["classifier"], run["start"])
        == (task, share, FINE_TUNED, NOTHING)
    }


def minutes(results: Mapping[str, Any]) -> float:
    """Return the minutes that training the network and all runs took."""
    runs = sum(run["seconds"] for run in results["runs"])
    return float(results["network"]["seconds"] + runs) / 60


def plot(results: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Plot accuracy against the number of labeled examples, with a panel for each data set.

    Args:
      results: the contents of results.json.
      path: a .png file.
    """
    import matplotlib.figure  # here: it takes long to import

    names = list(results["tasks"])
    figure = matplotlib.figure.Figure(figsize=(5 * len(names), 4.2), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        table = rows(results, name)
        for arm, title in _ARMS.items():
            shown = [row for row in table if arm in row.accuracy]
            found = 100 * np.array([row.accuracy[arm] for row in shown]).reshape(-1, 3)
            labels = [row.labels for row in shown]
            panel.plot(labels, found[:, 0], "o-", label=title, color=_COLORS[arm], markersize=4)
            panel.fill_between(
                labels, found[:, 1], found[:, 2], color=_COLORS[arm], alpha=0.12, linewidth=0
            )
        chance = 100 / len(results["tasks"][name]["classes"])
        panel.axhline(chance, color="black", linestyle=":", linewidth=1, label="chance")
        panel.set(xscale="log", ylim=(0, 100), title=_TASKS[name], xlabel="labeled examples")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy, %")
    panels[-1].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=110, format="png")


def _cell(estimate: _Estimate | None, sign: str) -> str:
    if estimate is None:
        return "-"
    mean, low, high = (format(100 * value, f"{sign}.1f") for value in estimate)
    return f"{mean} ({low} to {high})"
