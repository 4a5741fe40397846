# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Turns a released checkpoint into a `.keras` file: MMV's (JAX/Haiku) or MIL-NCE's S3D (PyTorch).

Which it is, is found from the file, which is read without being executed. Examples:

  python -m binaries.import_checkpoint --checkpoint=mmv_s3d.pkl --output=mmv_s3d.keras
  python -m binaries.import_checkpoint --checkpoint=s3d_howto100m.pth --dictionary=s3d_dict.npy \\
    --output=mil_nce.keras
"""

from __future__ import annotations

import json

from absl import flags

from mmv_tf import EmbeddingGraph, atomic, command_line, pretrained

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "The pickle or torch file to read.", required=True
)
_DICTIONARY = flags.DEFINE_string(
    "dictionary",
    None,
    "MIL-NCE only: the words, as a .npy array or a text with one a line; by default s3d_dict.npy "
    "beside the checkpoint. Without it the network takes word ids, not sentences.",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "The .keras file to write; one that exists is replaced.", required=True
)


@flags.validator("output", message="--output must end in .keras")
def _is_keras_file(path: str | None) -> bool:
    return path is None or path.endswith(".keras")


def _import(path: str, dictionary: str | None) -> EmbeddingGraph:
    if pretrained.is_torch_file(path):
        return pretrained.import_mil_nce_checkpoint(path, dictionary=dictionary)
    if dictionary is not None:
        raise ValueError(
            f"{path} is not a file of torch.save, and --dictionary is for those of MIL-NCE; leave "
            "it out."
        )
    return pretrained.import_haiku_checkpoint(path)


def main(argv: list[str]) -> None:
    """Imports, saves, and prints what was imported as JSON."""
    del argv
    model = _import(_CHECKPOINT.value, _DICTIONARY.value)
    with atomic.replacing(_OUTPUT.value) as temporary:
        model.save(temporary)
    metadata = dict(model.metadata)
    metadata["unused_arrays"] = len(metadata["unused_arrays"])
    summary = {
        "output": _OUTPUT.value,
        "video": type(model.video).__name__,
        "parameters": model.count_params(),
        "sentences": model.tokenizer is not None,
        **metadata,
    }
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    command_line.run(main)
