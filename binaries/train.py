# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Train a model on the shards of prepare_data.

  python -m binaries.train --config=configs/quickstart.py --data=DIR --output=RUN

`--config.section.key=value` changes an entry of the configuration and can be repeated. Repeat the
command to resume a run that was interrupted or killed. For several machines, start the same command
with --strategy=multi_worker on each, under SLURM or with TF_CONFIG set, and with a shared folder
for --output.
"""

from __future__ import annotations

import logging
import pathlib

from absl import flags

from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.training import Preempted, experiment
from mmv_tf.training.workers import STRATEGIES
from mmv_tf.util import command_line

_load_config = command_line.define_config()
_DATA = flags.DEFINE_string("data", "", "Folder of the shards (the entry data.directory).")
_WORD_VECTORS = flags.DEFINE_string("word_vectors", "", "Word vectors (the entry word_vectors).")
_STRATEGY = flags.DEFINE_enum(
    "strategy", None, STRATEGIES, "Distribution strategy (the entry strategy)."
)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the run.", required=True)


def main(argv: list[str]) -> int:
    """Train the model."""
    del argv
    # Not TensorFlow's notes, which would hide ours.
    logging.getLogger("mmv_tf").setLevel(logging.INFO)
    entries = {
        "data.directory": _DATA.value,
        "word_vectors": _WORD_VECTORS.value,
        "strategy": _STRATEGY.value,
    }
    config = _load_config([f"{key}={value}" for key, value in entries.items() if value])
    evaluate = None
    if config.training.evaluate_every_steps:
        evaluate = HeldOutRetrieval(
            config.data, config.training.evaluate_split, config.training.evaluate_clips
        )
    output = pathlib.Path(_OUTPUT.value)
    try:
        metrics = experiment.run(config, output, evaluate)
    except Preempted as stopped:
        print(stopped)
        return command_line.PREEMPTED
    best_step = metrics.pop("best_step", None)
    if metrics:
        print(", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
    else:
        print("This run is already finished.")
    if best_step is not None:
        taken = ", whose weights the model has" if config.training.stop_after else ""
        print(f"The best {config.training.best_metric} is that of step {best_step:.0f}{taken}.")
    print(f"The model is in {output}.")
    return 0


if __name__ == "__main__":
    command_line.run(main)
