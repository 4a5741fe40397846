# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Model card sections about the training run: data, course and settings, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmv_tf.publishing.run_facts import RunFacts
from mmv_tf.util.markdown import code, literal

# Metrics of the last steps that tell how training ended, besides those of held-out clips.
_HELD_OUT = "held_out/"
# Titles of the settings that decide the outcome.
_MAIN = {
    "data.batch_size": "clips per batch",
    "optimizer.name": "optimizer",
    "optimizer.learning_rate": "peak learning rate",
    "optimizer.weight_decay": "weight decay",
    "training.temperature": "temperature of the loss",
    "model.dtype": "precision",
    "strategy": "distribution",
    "seed": "seed",
}


def data_section(facts: RunFacts) -> str:
    """Return what the run and its manifests state about the training data."""
    lines: list[str] = []
    for entry in facts.data:
        name = entry.get("data_set") or entry["name"]
        splits = ", ".join(map(code, entry["splits"]))
        lines.append(f"- {literal(name)}: {entry['clips']:,} clips from the split {splits}")
        if "captions" in entry:
            lines.append(f"    - captions: {entry['captions']:,}")
        if "sources" in entry:
            hours = entry["source_seconds"] / 3600
            lines.append(
                f"    - sources: {entry['sources']:,} files, {hours:,.2f} hours in total, "
                "over all splits"
            )
        else:
            lines.append("    - sources and hours: unknown; the run does not state them")
        license_ = literal(entry.get("license") or "unknown; the manifest states none")
        lines.append(f"    - license: {license_}")
    return "\n".join(lines) or "Unknown: the run does not state its data."


def training_section(facts: RunFacts) -> str:
    """Return the course of the run: steps, main settings, machine, time and last metrics."""
    return "\n".join(f"- {line}" for line in (*_course(facts), *_machine(facts.summary)))


def settings_section(facts: RunFacts) -> str:
    """Return all settings; paths are reduced to their last part."""
    lines = [f"    {name} = {' '.join(str(value).split())}" for name, value in
             facts.settings.items()]  # fmt: skip
    return "\n".join(lines)


def _course(facts: RunFacts) -> Iterator[str]:
    planned = facts.settings.get("training.steps", "an unknown number of")
    step = "unknown" if facts.step is None else f"{facts.step:,}"
    yield f"step of these weights: {step} (the run was set to {planned} steps)"
    weights = {
        name.rpartition(".")[2]: value
        for name, value in facts.settings.items()
        if name.startswith("training.weights.")
    }
    pairs = ", ".join(f"{code(pair)} {value}" for pair, value in weights.items() if value)
    yield f"weights of the pairs in the loss: {pairs or 'unknown'}"
    for name, title in _MAIN.items():
        yield f"{title}: {literal(str(facts.settings.get(name, 'unknown')))}"
    if "loss" in facts.metrics:
        yield f"loss of the last steps: {facts.metrics['loss']:.4g}"
    held_out = {name: value for name, value in facts.metrics.items() if name.startswith(_HELD_OUT)}
    if held_out:
        shown = ", ".join(
            f"{code(name.removeprefix(_HELD_OUT))} {value:.4g}" for name, value in held_out.items()
        )
        yield f"held-out clips at that step, for monitoring the run (not a test): {shown}"


def _machine(summary: Mapping[str, Any]) -> Iterator[str]:
    machine = summary.get("machine")
    if not machine:
        yield "machine and time: unknown; the run does not state them"
        return
    accelerators = ", ".join(machine.get("accelerators", ())) or "no accelerator"
    yield (
        f"machine: {literal(machine.get('processor', 'unknown'))}, {machine.get('cores', '?')} "
        f"cores, {literal(accelerators)}, {literal(machine.get('system', ''))}, replicas: "
        f"{machine.get('replicas', 1)}"
    )
    minutes = summary.get("seconds", 0) / 60
    yield f"time: {minutes:,.1f} minutes, including validation and checkpoints"
    versions = summary.get("versions", {})
    yield f"versions: {literal(', '.join(f'{name} {value}' for name, value in versions.items()))}"
