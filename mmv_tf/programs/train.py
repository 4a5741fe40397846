# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Train a model on the shards of prepare_data.

  mmv train --config=quickstart --data=DIR --output=RUN

`--config.section.key=value` changes an entry of the configuration and can be repeated;
--print_config shows all of them. --init_from=MODEL starts from the weights of a model. Repeat the
command to resume a run that was interrupted or killed. For several machines, start the same command
with --strategy=multi_worker on each, under SLURM or with TF_CONFIG set, and with a shared folder or
the URL of a store, such as s3://BUCKET/RUN, for --output.
"""

from __future__ import annotations

import logging

from absl import flags

from mmv_tf.evaluation.held_out import HeldOutRetrieval
from mmv_tf.training import Preempted, experiment
from mmv_tf.training import logging as run_log
from mmv_tf.training.forward import make_objective
from mmv_tf.training.workers import STRATEGIES
from mmv_tf.util import command_line
from mmv_tf.util.configuration import entries_of
from mmv_tf.util.storage.urls import name_of, path_of

_load_config = command_line.define_config()
_DATA = flags.DEFINE_string("data", "", "Shard folder, or its URL (sets data.directory).")
_WORD_VECTORS = flags.DEFINE_string("word_vectors", "", "Word vectors (sets word_vectors).")
_INIT_FROM = flags.DEFINE_string(
    "init_from",
    "",
    "Model to take the initial weights from: a .keras file, a run's folder, a released file or a "
    "published name (sets init_from).",
)
_PRINT_CONFIG = flags.DEFINE_bool(
    "print_config", False, "Print every entry of the configuration with its value, and stop."
)
_STRATEGY = flags.DEFINE_enum(
    "strategy", None, STRATEGIES, "Distribution strategy (sets strategy)."
)
_OUTPUT = flags.DEFINE_string("output", "", "Run folder, or its URL; required for training.")


def main(argv: list[str]) -> int:
    """Train the model."""
    del argv
    # Not TensorFlow's notes, which would hide ours.
    logging.getLogger("mmv_tf").setLevel(logging.INFO)
    entries = {
        "data.directory": _DATA.value,
        "init_from": _INIT_FROM.value,
        "word_vectors": _WORD_VECTORS.value,
        "strategy": _STRATEGY.value,
    }
    config = _load_config([f"{key}={value}" for key, value in entries.items() if value])
    if _PRINT_CONFIG.value:
        print("\n".join(entries_of(config)))
        return 0
    if not _OUTPUT.value:
        raise command_line.UsageError("--output is missing; give the run folder.")
    evaluate = None
    if config.training.evaluate_every_steps:
        evaluate = HeldOutRetrieval(
            config.data,
            config.training.evaluate_split,
            config.training.evaluate_clips,
            objective=make_objective(config.training),
            clips_to_show=run_log.settings_of(config.training).clips,
        )
    output = path_of(_OUTPUT.value)
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
        print(f"The best {config.training.best_metric} is from step {best_step:.0f}{taken}.")
    print(f"The model is in {name_of(output)}.")
    return 0


if __name__ == "__main__":
    command_line.run(main)
