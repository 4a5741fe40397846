# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Runs the benchmarks and writes docs/measurements/performance.md.

  python -m benchmarks                               # all of them, an hour or so
  python -m benchmarks --only=forward --only=growth --torch_python=PATH
  python -m benchmarks --norun                       # only write the page, from stored results

Each program runs in a separate process. Its line of JSON is stored in benchmarks/results.json;
results of programs that are not run are kept. If a program fails, the failure is reported, the
others still run, and the exit status is 1. After Ctrl-C, the page has the results so far, and the
exit status is 130.
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

_ONLY = flags.DEFINE_multi_enum("only", [], list(RUNS), "Programs to run; may be repeated.")
_TORCH = flags.DEFINE_string(
    "torch_python", "", "A Python that has torch and numpy; by default the one in .venv-torch."
)
_RESULTS = flags.DEFINE_string("output", str(RESULTS), "Results (JSON).")
_RUN = flags.DEFINE_bool("run", True, "Run programs; otherwise only write the page.")
_PAGE = flags.DEFINE_string("page", str(PAGE), "The page to write.")


def main(argv: list[str]) -> int:
    """Run the programs, write the page and report."""
    del argv
    results = pathlib.Path(_RESULTS.value)
    read_results(results)  # fail on a broken file now, not after half an hour
    wanted = (_ONLY.value or RUNS) if _RUN.value else ()
    runs = {name: run for name, run in RUNS.items() if name in wanted}
    try:
        failed = collect(runs, results, find_torch(_TORCH.value))
    finally:
        found = read_results(results)
        files.write_text(make_page(found, FIGURES), _PAGE.value)
        say(f"Wrote {_PAGE.value} from {results}")
    print("\n".join(summary(found, FIGURES)))
    for name, reason in failed.items():
        print(f"error: {name}: {reason}", file=sys.stderr)
    return command_line.FAILED if failed else 0


if __name__ == "__main__":
    command_line.run(main)
