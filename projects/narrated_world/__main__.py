# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Compares MMV's graphs, losses and numbers of candidates on the narrated world.

  python -m projects.narrated_world --output=runs/narrated_world

Trains every variant in the configuration with every seed, scores it and prints a table; writes
results.json, table.md and the models. `--config.section.key=value` changes a setting and may be
repeated; the configuration's argument ":validation" scores on the world for choosing settings, and
":runlocal" runs a tiny version. After an interruption, repeat the command to resume. With
--deflate, some of the models are then deflated and probed on single frames, for a second table in
images.json and images.md.
"""

from __future__ import annotations

import logging
import pathlib
from typing import Any

from absl import flags

from mmv_tf.training import Preempted
from mmv_tf.util import command_line, files
from projects.narrated_world import comparison, tables
from projects.narrated_world import images as images_lib

_load_config = command_line.define_config(default="projects/narrated_world/config.py")
_OUTPUT = flags.DEFINE_string("output", None, "Results folder.", required=True)
_IMAGES = flags.DEFINE_bool(
    "deflate", False, "Also deflate models and probe them on single frames."
)


def main(argv: list[str]) -> int:
    """Run the comparison and write its tables."""
    del argv
    logging.getLogger("mmv_tf").setLevel(logging.INFO)
    config = _load_config([])
    output = pathlib.Path(_OUTPUT.value)
    try:
        results = comparison.run(config, output, _report)
    except Preempted:
        print("Stopped; rerun the command to resume.")
        return command_line.PREEMPTED
    table = tables.markdown(results)
    if "fac" in results["runs"] and len(results["runs"]) > 1:
        table += "\n\n" + tables.differences_markdown(results)
    files.write_text(table + "\n", output / "table.md")
    print(table)
    minutes = comparison.seconds(results) / 60
    print(f"The models took {minutes:.1f} minutes; results are in {output}.")
    if _IMAGES.value:
        images = images_lib.run(config, output, _report_images)
        titles = {name: variant.title for name, variant in config.variants.items()}
        table = tables.images_markdown(images, titles)
        files.write_text(table + "\n", output / "images.md")
        print(table)
    return 0


def _report(name: str, seed: int, scores: dict[str, Any]) -> None:
    recalls = ", ".join(
        f"{direction} {100 * found['R@1']:.1f}" for direction, found in scores["retrieval"].items()
    )
    print(f"{name}, seed {seed}: R@1 {recalls}; scored in {scores['seconds']:.0f} s", flush=True)


def _report_images(name: str, seed: int, scores: dict[str, Any]) -> None:
    fit = scores["fit"]
    left = {stage: fit[stage]["l1"] / fit["naive"]["l1"] for stage in ("closed_form", "fitted")}
    print(
        f"{name}, seed {seed}: {100 * left['closed_form']:.0f} % of the naive gap left after the "
        f"closed form, {100 * left['fitted']:.0f} % after the fit; {scores['seconds']:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    command_line.run(main)
