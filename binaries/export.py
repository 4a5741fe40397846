# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes a network as a SavedModel with the signatures that the TF-Hub MMV models had.

  python -m binaries.export --model=RUN --image_model=image_encoder.keras --output=DIR

The result loads with TensorFlow alone: `tf.saved_model.load(DIR).signatures["text"](sentences)`.
"""

from __future__ import annotations

from absl import flags

from mmv_tf import command_line
from mmv_tf.deflation import load_image_model
from mmv_tf.publishing import export
from mmv_tf.training import load_model

_MODEL = flags.DEFINE_string("model", None, "A .keras file or the folder of a training run.")
_IMAGE_MODEL = flags.DEFINE_string(
    "image_model", None, "Its deflated network, for the image signature; left out without."
)
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write.")
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a SavedModel that is there.")
flags.mark_flags_as_required(["model", "output"])


def main(argv: list[str]) -> None:
    """Reads the flags and exports."""
    del argv
    model = load_model(_MODEL.value)
    image_model = load_image_model(_IMAGE_MODEL.value) if _IMAGE_MODEL.value else None
    names = export(model, _OUTPUT.value, image_model, _OVERWRITE.value)
    print(f"The SavedModel is in {_OUTPUT.value}; signatures: {', '.join(names)}.")


if __name__ == "__main__":
    command_line.run(main)
