# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores a network by a declared protocol.

  python -m binaries.evaluate --protocol=narrated_film --model=RUN --data=DIR --output=results.json

Prints a table and writes the results as JSON; with --embeddings also what they were computed from.
"""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
from absl import flags

from mmv_tf import atomic, command_line
from mmv_tf.configuration import write_json
from mmv_tf.evaluation import PROTOCOLS, Evaluation, run_protocol
from mmv_tf.training import load_model
from mmv_tf.training.checkpoints import NETWORK_FILE

_PROTOCOL = flags.DEFINE_enum("protocol", None, sorted(PROTOCOLS), "What is scored, and how.")
_MODEL = flags.DEFINE_string("model", None, "A .keras file or the folder of a training run.")
_DATA = flags.DEFINE_string("data", None, "Folder of the shards.")
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).")
_EMBEDDINGS = flags.DEFINE_string("embeddings", None, "Also writes all embeddings to this .npz.")
flags.mark_flags_as_required(["protocol", "model", "data", "output"])


def main(argv: list[str]) -> None:
    """Reads the flags, evaluates, prints and writes."""
    del argv
    model = load_model(_MODEL.value)
    before = pathlib.Path(_MODEL.value) / NETWORK_FILE
    untrained = load_model(before) if before.exists() else None
    evaluation = run_protocol(PROTOCOLS[_PROTOCOL.value], model, _DATA.value, untrained)
    results = {"model": _MODEL.value, "data": _DATA.value, **evaluation.results}
    print(format_results(results))
    if _EMBEDDINGS.value:
        write_embeddings(evaluation, _EMBEDDINGS.value)
    write_json(results, _OUTPUT.value)
    print(f"Results are in {_OUTPUT.value}.")


def format_results(results: dict[str, Any]) -> str:
    """The tables, as text."""
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


def write_embeddings(evaluation: Evaluation, path: str) -> None:
    """All clips of both splits, test clips marked, as arrays in an .npz."""
    train, test = evaluation.train, evaluation.test
    arrays: dict[str, Any] = {
        key: np.concatenate([train.features[key], test.features[key]]) for key in train.features
    }
    for name in ("labels", "starts", "ends", "captions", "example_ids"):
        arrays[name] = np.concatenate([getattr(train, name), getattr(test, name)])
    arrays["is_test"] = np.repeat([False, True], [len(train), len(test)])
    with atomic.replacing(path) as temporary:
        np.savez(temporary, **arrays)


if __name__ == "__main__":
    command_line.run(main)
