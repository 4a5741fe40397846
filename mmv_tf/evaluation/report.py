# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Formats evaluation results as text."""

from __future__ import annotations

from typing import Any


def _unit(name: str) -> float:
    """Return the factor that converts a metric's value to the printed number."""
    return 1.0 if name in ("median_rank", "mean_rank", "d_prime") else 100.0


def format_benchmark(results: dict[str, Any]) -> str:
    """Format the metrics with their intervals, and the published results."""
    protocol, counts = results["protocol"], results["counts"]
    lines = [
        f"{protocol['name']} version {protocol['version']}"
        + (f", changed: {', '.join(results['changed'])}" if results["changed"] else "")
    ]
    metrics = results["metrics"]
    parts = metrics if any("->" in name for name in metrics) else {"test": metrics}
    for part, values in parts.items():
        items = values.get("items", counts["scored"]["test"])
        lines.append(f"{part:<16}{items:>7} items   95 % interval")
        for name, metric in values.items():
            if not isinstance(metric, dict) or "value" not in metric:
                continue
            unit = _unit(name)
            shown = f"  {name:<14}{unit * metric['value']:8.2f}"
            if "interval" in metric:
                low, high = (unit * end for end in metric["interval"])
                shown += f"   {low:.2f} to {high:.2f}"
            if "chance" in metric:
                shown += f"   (chance {unit * metric['chance']:.2f})"
            if metric.get("skipped_classes"):
                shown += f"   ({metric['skipped_classes']} classes skipped)"
            lines.append(shown)
    for figure in results["reported"]:
        value = _unit(figure["metric"]) * figure["value"]
        lines.append(
            f"  paper: {figure['metric']} {value:.1f} ({figure['network']}; {figure['where']})"
        )
    gone = len(set(counts["missing"]) | set(counts["unreadable"]))
    lines.append(
        f"listed {counts['listed']['test']}, scored {counts['scored']['test']}, missing or "
        f"unreadable {gone}"
    )
    return "\n".join(lines)


def format_comparison(outcome: dict[str, dict[str, dict[str, Any]]]) -> str:
    """Format one line per metric."""
    lines = [
        f"{'':<20}{'first':>9}{'second':>9}{'change':>9}   {'95 % interval':<20}{'p':>8}  verdict"
    ]
    for part, metrics in outcome.items():
        lines.append(part)
        for name, row in metrics.items():
            unit = _unit(name)
            low, high = (unit * end for end in row["interval"])
            verdict = "no significant difference"
            if row["significant"]:
                better = (row["difference"] > 0) != row["lower_is_better"]
                verdict = f"the second is {'better' if better else 'worse'}"
            lines.append(
                f"  {name:<18}{unit * row['first']:9.2f}{unit * row['second']:9.2f}"
                f"{unit * row['difference']:+9.2f}   {f'{low:+.2f} to {high:+.2f}':<20}"
                f"{row['p_value']:8.4f}  {verdict}"
            )
    return "\n".join(lines)


def format_results(results: dict[str, Any]) -> str:
    """Format the tables for retrieval and linear probes."""
    lines = [
        f"{'retrieval':<16}{'n':>5}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'median':>8}{'mean':>7}{'p':>9}"
    ]
    for name, metrics in results["retrieval"].items():
        for label, prefix, p_value in (
            (name, "", metrics["p_value"]),
            ("  chance", "chance/", None),
        ):
            recalls = "".join(f"{100 * metrics[f'{prefix}R@{k}']:7.1f}" for k in (1, 5, 10))
            shown = "" if p_value is None else f"{p_value:9.4f}"
            lines.append(
                f"{label:<16}{metrics['count']:>5}{recalls}{metrics[prefix + 'median_rank']:8.1f}"
                f"{metrics[prefix + 'mean_rank']:7.1f}{shown}"
            )
    probe = results.get("linear_probe", {})
    if probe:
        lines.append(
            f"{'linear probe':<16}{'n':>5}{'trained':>10}{'untrained':>11}{'majority':>10}"
        )
        for modality, metrics in probe["trained"].items():
            other = probe.get("untrained", {}).get(modality)
            untrained = "-" if other is None else f"{100 * other['accuracy']:.1f}"
            lines.append(
                f"{modality:<16}{metrics['count']:>5}{100 * metrics['accuracy']:10.1f}"
                f"{untrained:>11}{100 * metrics['majority']:10.1f}"
            )
    return "\n".join(lines)
