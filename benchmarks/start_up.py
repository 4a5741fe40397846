# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Measures how much time mmv_tf adds to importing TensorFlow, each in a new process, in turn.

  python -m benchmarks.start_up

`import mmv_tf` loads only the layers that Keras has to know. Therefore every public name is also
used once, which loads everything that a program may need at startup. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from absl import app, flags

from benchmarks.measure import Times, interleaved, print_result, rounded

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Processes per variant.", lower_bound=1)

_STATEMENTS = {
    "tensorflow": "import tensorflow",
    "mmv_tf": "import tensorflow\nimport mmv_tf",
    "all names": "import mmv_tf\nfor name in dir(mmv_tf): getattr(mmv_tf, name)",
}
_PROGRAM = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
{statement}
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


def imported(module: str) -> Times:
    """Import a module, and all of mmv_tf's public names, in a new process."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", _PROGRAM.format(statement=_STATEMENTS[module])]
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return Times(*json.loads(output.stdout.splitlines()[-1]))


def main(argv: list[str]) -> None:
    """Measure and print."""
    del argv
    # With all names, mmv_tf imports TensorFlow itself.
    runs = {module: lambda module=module: imported(module) for module in _STATEMENTS}
    times = interleaved(runs, _ROUNDS.value)
    theirs = times.pop("tensorflow")
    print_result(
        "start_up",
        {"rounds": _ROUNDS.value},
        {"tensorflow": theirs, **times},
        beyond_seconds={
            name: rounded(ours.seconds - theirs.seconds, 3) for name, ours in times.items()
        },
        beyond_cpu_seconds={
            name: rounded(ours.cpu_seconds - theirs.cpu_seconds, 3) for name, ours in times.items()
        },
    )


if __name__ == "__main__":
    app.run(main)
