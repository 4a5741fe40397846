# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Export a model as a SavedModel with the signatures of the TF-Hub MMV models.

  python -m binaries.export --model=RUN --image_model=image_encoder.keras --output=DIR

The result loads with TensorFlow alone: `tf.saved_model.load(DIR).signatures["text"](sentences)`.
To serve it by TensorFlow Serving or binaries.serve, write a numbered version:

  python -m binaries.export --model=RUN --output=DIR --version=1 --fold_batch_norms --video_jpeg
"""

from __future__ import annotations

import pathlib

from absl import flags

from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.publishing import CardDetails, ExportOptions, export, portable
from mmv_tf.publishing.options import MODALITIES, WEIGHT_TYPES
from mmv_tf.util import command_line

define_network_flags(image_model=True, settings=False)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace an existing SavedModel.")
_VERSION = flags.DEFINE_integer("version", None, "Write to --output/VERSION, for serving.")
_MODEL_NAME = flags.DEFINE_string("model_name", "mmv", "Name of the served model.")
_MODALITIES = flags.DEFINE_multi_enum(
    "modality", None, MODALITIES, "Export only this modality; repeat for more."
)
_FOLD = flags.DEFINE_bool(
    "fold_batch_norms", False, "Fold batch norms into the weights: faster, but no fine-tuning."
)
_WEIGHTS = flags.DEFINE_enum(
    "weights_dtype", "float32", WEIGHT_TYPES, "Dtype of stored weights; 16 bits halve the files."
)
_VIDEO_JPEG = flags.DEFINE_bool(
    "video_jpeg", False, "Add the signature video_jpeg for JPEG frames."
)
_JPEG_SIZE = flags.DEFINE_integer(
    "jpeg_size", None, "Side in pixels to resize JPEG frames to; default: as in training."
)
_NORMALIZED = flags.DEFINE_bool("normalized", False, "Normalize embeddings to unit length.")
_CHECKED = flags.DEFINE_bool(
    "checked", True, "Reject invalid input (NaN, out of range, no known word)."
)
_TITLE = flags.DEFINE_string("title", "MMV network", "Title of the model card.")
_DATA = flags.DEFINE_string("trained_on", "", "Training data, for the model card.")
_LICENSE = flags.DEFINE_string("license", "", "License of the weights, for the model card.")
_RESULTS = flags.DEFINE_multi_string(
    "results", [], "Results file of binaries.evaluate, for the model card; repeat for more."
)
_PORTABLE = flags.DEFINE_multi_enum(
    "portable",
    [],
    [f"{kind}:{name}" for kind in portable.FORMATS for name in portable.ENCODERS],
    "Also export an encoder for programs without TensorFlow, to OUTPUT_portable; repeat for more.",
)


def main(argv: list[str]) -> None:
    """Export the model."""
    del argv
    options = ExportOptions(
        modalities=tuple(_MODALITIES.value) if _MODALITIES.value else None,
        fold_batch_norms=_FOLD.value,
        weights=_WEIGHTS.value,
        video_jpeg=_VIDEO_JPEG.value,
        jpeg_size=_JPEG_SIZE.value,
        normalized=_NORMALIZED.value,
        checked=_CHECKED.value,
    )
    details = CardDetails(_TITLE.value, _DATA.value, _LICENSE.value, tuple(_RESULTS.value))
    model, image_model = network_flags().open_models()
    names = export(
        model,
        _OUTPUT.value,
        image_model,
        _OVERWRITE.value,
        options=options,
        details=details,
        version=_VERSION.value,
        model_name=_MODEL_NAME.value,
    )
    print(f"The SavedModel is in {_OUTPUT.value}; signatures: {', '.join(names)}.")
    for choice in _PORTABLE.value:
        kind, name = choice.split(":")
        path = pathlib.Path(f"{_OUTPUT.value}_portable") / f"{name}{portable.SUFFIXES[kind]}"
        differences = portable.write_portable(model, path, name, kind, image_model)
        worst = max(differences.values())
        print(f"{path} differs from the model by {worst:.1e} of its outputs' size.")


if __name__ == "__main__":
    command_line.run(main)
