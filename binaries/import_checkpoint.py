# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Turns a released MMV checkpoint (a JAX/Haiku pickle) into a `.keras` file.

The pickle is read without being executed. Example:

  python -m binaries.import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras
"""

from __future__ import annotations

import json

from absl import flags

from mmv_tf import atomic, command_line, pretrained

_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "The pickle to read.", required=True)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The .keras file to write; one that exists is replaced.", required=True
)


@flags.validator("output", message="--output must end in .keras")
def _is_keras_file(path: str | None) -> bool:
    return path is None or path.endswith(".keras")


def main(argv: list[str]) -> None:
    """Imports, saves, and prints what was imported as JSON."""
    del argv
    model = pretrained.import_haiku_checkpoint(_CHECKPOINT.value)
    with atomic.replacing(_OUTPUT.value) as temporary:
        model.save(temporary)
    metadata = dict(model.metadata)
    metadata["unused_arrays"] = len(metadata["unused_arrays"])
    summary = {
        "output": _OUTPUT.value,
        "video": type(model.video).__name__,
        "parameters": model.count_params(),
        **metadata,
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    command_line.run(main)
