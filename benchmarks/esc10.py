# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Evaluates a small audio backbone on ESC-10 from scratch: frozen with random weights, and trained.

  python -m benchmarks.esc10 --data=ESC-10 --output=FOLDER [--protocols=esc10_fine_tune]

Nothing is pretrained: this shows whether fine-tuning works and how long it takes, not MMV's
accuracy. The baseline, 81 %, is logistic regression on means and standard deviations of log-mel
spectrograms.
"""

from __future__ import annotations

import pathlib
from typing import Any

import keras
import ml_collections
from absl import flags

from benchmarks.measure import print_result, timed
from mmv_tf.evaluation import BENCHMARKS, Options, run_benchmark, write_results
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.pretrained import create_model
from mmv_tf.util import command_line

_DATA = flags.DEFINE_string("data", None, "Folder of ESC-10 or ESC-50.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Folder of the results.", required=True)
_PROTOCOLS = flags.DEFINE_list(
    "protocols", ["esc10_linear", "esc10_fine_tune"], "Protocols to run."
)


def make_network() -> EmbeddingGraph:
    """Return a graph with a ResNet-18 of half width for audio; its video backbone is unused."""
    keras.utils.set_random_seed(0)
    config = {
        "graph": {"name": "fac", "fine_dim": 16, "coarse_dim": 8, "hidden_dim": 16},
        "video": {"backbone": "s3d", "width": 0.0625, "blocks": (1, 1, 1)},
        "audio": {"depth": 18, "width": 0.5},
        "dtype": "float32",
    }
    return create_model(ml_collections.ConfigDict(config))


def main(argv: list[str]) -> None:
    """Run the protocols, write their results and print the time."""
    del argv
    output = pathlib.Path(_OUTPUT.value)
    for name in _PROTOCOLS.value:
        if name not in BENCHMARKS:
            raise command_line.UsageError(f"There is no protocol {name!r}.")
        found: dict[str, Any] = {}

        def run(name: str = name, found: dict[str, Any] = found) -> None:
            found["outcome"] = run_benchmark(
                BENCHMARKS[name],
                make_network(),
                pathlib.Path(_DATA.value),
                Options(output / "features"),
            )

        took, outcome = timed(run), found["outcome"]
        results = {**outcome.results, "took": took._asdict()}
        write_results(results, outcome.scored, output / f"{name}.json")
        print_result(
            "esc10", {"protocol": name}, {name: took}, top_1=outcome.results["metrics"]["top_1"]
        )


if __name__ == "__main__":
    command_line.run(main)
