# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares classifiers from a pretrained network and from scratch, by number of labels.

  python -m projects.label_efficiency --output=runs/label_efficiency [--esc10=ESC-10]

Trains a network without labels on the narrated world, and then, with 1 to 100 % of the labels of
the world and of ESC-10, linear classifiers on frozen features and fine-tuned backbones, each from
the network and from random weights. Writes results.json, table.md, label_efficiency.png and the
network. `--config.section.key=value` changes a setting and may be repeated; the configuration's
argument ":runlocal" runs a tiny version. After an interruption, repeat the command to continue.
"""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf
from absl import flags

from mmv_tf.training import Preempted
from mmv_tf.util import command_line, files
from projects.label_efficiency import report, study
from projects.label_efficiency.tasks import ESC10

_load_config = command_line.define_config(default="projects/label_efficiency/config.py")
_OUTPUT = flags.DEFINE_string("output", None, "Results folder.", required=True)
_ESC10 = flags.DEFINE_string(
    "esc10", None, "ESC-10 folder; if omitted, only the narrated world is used."
)


def main(argv: list[str]) -> int:
    """Run the study; write its table and plot."""
    del argv
    tf.get_logger().setLevel("ERROR")  # Each classifier is traced once; TensorFlow warns about it.
    config = _load_config([])
    output = pathlib.Path(_OUTPUT.value)
    esc10 = None if _ESC10.value is None else pathlib.Path(_ESC10.value)
    if esc10 is not None and not esc10.is_dir():
        raise command_line.UsageError(f"--esc10: {esc10} is not a folder; pass the ESC-10 folder.")
    try:
        results = study.run(config, output, esc10, _show)
    except Preempted:
        print("Stopped; rerun the command to resume.")
        return command_line.PREEMPTED
    table = report.report(results)
    files.write_text(table, output / "table.md")
    with files.replacing(output / "label_efficiency.png") as path:
        report.plot(results, path)
    print(table)
    for fold, found in report.by_division(results, ESC10, 1.0).items():
        print(f"ESC-10 from scratch with all labels, fold {fold}: {100 * found:.1f} %")
    print(f"It took {report.minutes(results):.1f} minutes; results are in {output}.")
    return 0


def _show(found: dict[str, Any]) -> None:
    right = 100 * found["right"].count("1") / len(found["right"])
    print(
        f"{found['task']}, seed {found['seed']}, {found['division']}, {found['labels']} labels, "
        f"{found['classifier']} from {found['start']}: {right:.1f} %; {found['seconds']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    command_line.run(main)
