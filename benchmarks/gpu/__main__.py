# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Tests and benchmarks one GPU in six minutes: parity, speed, memory, and each use of a model.

  python -m benchmarks.gpu --output=gpu_report

Writes results.json after each measurement and report.md at the end. The most important
measurements come first. One that takes too long is stopped, one that fails or ends its process is
reported, and those for which no time is left are listed. Of several GPUs, the first is used.
Without a GPU, prints a note and runs the same code on the CPU with small sizes, whose results are
meaningless for a GPU.
"""

from __future__ import annotations

import pathlib
import signal
import sys
import time

from absl import flags

from benchmarks.gpu.page import make_page
from benchmarks.gpu.report import OUT_OF_MEMORY, RESULTS, Report
from benchmarks.gpu.supervision import supervise
from mmv_tf.util import command_line, files

# The parts of `process.PARTS`, which is not imported: this process leaves the GPU alone.
_PARTS = ("parity", "uses", "speed")

_OUTPUT = flags.DEFINE_string("output", "gpu_report", "Folder for results.json and report.md.")
_SECONDS = flags.DEFINE_float(
    "seconds", 345.0, "Stop measuring after this many seconds.", lower_bound=1.0
)
_CHOSEN = flags.DEFINE_multi_enum("part", list(_PARTS), _PARTS, "Part to measure; repeatable.")


def main(argv: list[str]) -> int:
    """Measure, write and print the report."""
    del argv
    start = time.time()
    folder = pathlib.Path(_OUTPUT.value).absolute()
    files.check_writable(folder / RESULTS)
    files.check_writable(folder / "report.md")
    Report.new(folder)
    # Ends by an exception, so that the measuring process is ended too.
    signal.signal(signal.SIGTERM, lambda *unused: sys.exit(128 + signal.SIGTERM))
    command = [sys.executable, "-m", "benchmarks.gpu.process"]
    parts = [part for part in _PARTS if part in _CHOSEN.value]
    end = start + _SECONDS.value
    report = supervise([*command, str(folder), str(end), ",".join(parts)], folder, end)
    report.close(time.time() - start)
    page = make_page(report.results)
    files.write_text(page, folder / "report.md")
    print(page)
    problems = {row.get("problem", OUT_OF_MEMORY) for row in report.results["rows"]}
    return command_line.FAILED if problems - {OUT_OF_MEMORY} else 0


if __name__ == "__main__":
    command_line.run(main)
