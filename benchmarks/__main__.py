# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks and writes docs/performance.md.

  python -m benchmarks                               # all of them, an hour or so
  python -m benchmarks --only=forward --only=growth --torch_python=PATH
  python -m benchmarks --norun                       # the page anew from the figures that are there

Each program is a process of its own. Its line of JSON goes to benchmarks/results.json, where those
of programs that are not run stay. A program that fails is told of and the others go on; the exit
status is then 1. After Ctrl-C the page has what was measured until then, and the status is 130.
"""

from __future__ import annotations

import pathlib
import sys

from absl import flags

from benchmarks.collect import PAGE, RESULTS, collect, read_results, say
from benchmarks.figures import FIGURES, RUNS
from benchmarks.peer import find_torch
from benchmarks.performance_page import make_page, summary
from mmv_tf.util import command_line, files

_ONLY = flags.DEFINE_multi_enum("only", [], list(RUNS), "What to run; may be given again.")
_TORCH = flags.DEFINE_string(
    "torch_python", "", "A Python that has torch and numpy; by default .venv-torch's."
)
_RESULTS = flags.DEFINE_string("output", str(RESULTS), "Results (JSON).")
_RUN = flags.DEFINE_bool("run", True, "Run programs; without it the page is made anew.")
_PAGE = flags.DEFINE_string("page", str(PAGE), "The page to write.")


def main(argv: list[str]) -> int:
    """Runs, writes, and says what came of it."""
    del argv
    results = pathlib.Path(_RESULTS.value)
    read_results(results)  # A broken file is told of now, and not after half an hour.
    wanted = (_ONLY.value or RUNS) if _RUN.value else ()
    runs = {name: run for name, run in RUNS.items() if name in wanted}
    try:
        failed = collect(runs, results, find_torch(_TORCH.value))
    finally:
        found = read_results(results)
        files.write_text(make_page(found, FIGURES), _PAGE.value)
        say(f"Wrote {_PAGE.value} of {results}")
    print("\n".join(summary(found, FIGURES)))
    for name, reason in failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return command_line.FAILED if failed else 0


if __name__ == "__main__":
    command_line.run(main)
