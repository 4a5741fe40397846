# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Scores a model on the narrated world, whose clips are generated, so no data are needed.

  python -m projects.narrated_world.evaluate --model=RUN --output=results.json

Prints a table and writes the results as JSON, and the score of each item in OUTPUT.items.npz beside
it. `mmv evaluate --compare` tests whether two such results differ.
"""

from __future__ import annotations

from absl import flags

from mmv_tf.evaluation import changed
from mmv_tf.evaluation.report import format_benchmark
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.util import command_line
from projects.narrated_world.protocol import NARRATED_WORLD, run_world_protocol

_MODEL = define_network_flags()
_OUTPUT = flags.DEFINE_string("output", None, "Results file (JSON).", required=True)
_CHANGES = command_line.define_overrides(
    "protocol", "Change the protocol for a trial, such as galleries=1; the results record it."
)


def main(argv: list[str]) -> None:
    """Score the model and write the results."""
    del argv
    protocol = changed(NARRATED_WORLD, _CHANGES.value)
    outcome = run_world_protocol(protocol, network_flags().open_model(), _CHANGES.value)
    outcome = outcome.led_by(paths={"model": _MODEL.value})
    print(format_benchmark(outcome.results))
    outcome.write(_OUTPUT.value)
    print(f"Results are in {_OUTPUT.value}.")


if __name__ == "__main__":
    command_line.run(main)
