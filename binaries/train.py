# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Trains a network on shards that prepare_data wrote.

  python -m binaries.train --config=configs/quickstart.py --data=DIR --output=RUN

`--set=section.key=value` changes an entry of the configuration, as often as wanted. A run that was
interrupted or killed goes on when the same command is given again.
"""

from __future__ import annotations

import logging
import pathlib

from absl import flags

from mmv_tf import command_line
from mmv_tf.configuration import load_config
from mmv_tf.training import Preempted, experiment

_CONFIG = flags.DEFINE_string(
    "config", None, "FILE or FILE:ARG with get_config(arg); see configs/."
)
_SET = flags.DEFINE_multi_string("set", [], "section.key=value: changes an entry; repeatable.")
_DATA = flags.DEFINE_string("data", "", "Folder of the shards (the entry data.directory).")
_WORD_VECTORS = flags.DEFINE_string("word_vectors", "", "Word vectors (the entry word_vectors).")
_OUTPUT = flags.DEFINE_string("output", None, "The run's folder.")
flags.mark_flags_as_required(["config", "output"])


def main(argv: list[str]) -> int:
    """Reads the flags and trains."""
    del argv
    # Our own notes only; TensorFlow's would bury them.
    logging.getLogger("mmv_tf").setLevel(logging.INFO)
    overrides = list(_SET.value)
    if _DATA.value:
        overrides.append(f"data.directory={_DATA.value}")
    if _WORD_VECTORS.value:
        overrides.append(f"word_vectors={_WORD_VECTORS.value}")
    config = load_config(_CONFIG.value, overrides)
    output = pathlib.Path(_OUTPUT.value)
    try:
        metrics = experiment.run(config, output)
    except Preempted as stopped:
        print(stopped)
        return command_line.PREEMPTED
    if metrics:
        print(", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))
    else:
        print("This run is finished already.")
    print(f"The network is in {output}.")
    return 0


if __name__ == "__main__":
    command_line.run(main)
