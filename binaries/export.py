# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Writes a network as a SavedModel with the signatures that the TF-Hub MMV models had.

  python -m binaries.export --model=RUN --image_model=image_encoder.keras --output=DIR

The result loads with TensorFlow alone: `tf.saved_model.load(DIR).signatures["text"](sentences)`.
For serving, in a folder with a number for TensorFlow Serving or binaries.serve:

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
_OUTPUT = flags.DEFINE_string("output", None, "The folder to write.", required=True)
_OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace a SavedModel that is there.")
_VERSION = flags.DEFINE_integer(
    "version", None, "Write to the folder of this number within --output, ready to be served."
)
_MODEL_NAME = flags.DEFINE_string("model_name", "mmv", "Under which the network is served.")
_MODALITIES = flags.DEFINE_multi_enum(
    "modality", None, MODALITIES, "Export only this modality; give it again for more."
)
_FOLD = flags.DEFINE_bool(
    "fold_batch_norms", False, "Fold batch norms into the weights: faster, not to be fine-tuned."
)
_WEIGHTS = flags.DEFINE_enum(
    "weights_dtype", "float32", WEIGHT_TYPES, "How weights are stored; 16 bits halve the files."
)
_VIDEO_JPEG = flags.DEFINE_bool(
    "video_jpeg", False, "Add the signature video_jpeg, which takes JPEG frames."
)
_JPEG_SIZE = flags.DEFINE_integer(
    "jpeg_size", None, "Pixels a side that its frames are resized to; default: as trained."
)
_NORMALIZED = flags.DEFINE_bool("normalized", False, "Give embeddings of unit length.")
_CHECKED = flags.DEFINE_bool(
    "checked", True, "Refuse wrong input (NaN, out of range, no known word); --nochecked takes it."
)
_TITLE = flags.DEFINE_string("title", "MMV network", "The model card's title.")
_DATA = flags.DEFINE_string(
    "trained_on", "", "For the model card: what the network was trained on."
)
_LICENCE = flags.DEFINE_string("license", "", "For the model card: license of the weights.")
_RESULTS = flags.DEFINE_multi_string(
    "results", [], "For the model card: a results file of binaries.evaluate; may be given again."
)
_PORTABLE = flags.DEFINE_multi_enum(
    "portable",
    [],
    [f"{kind}:{name}" for kind in portable.FORMATS for name in portable.ENCODERS],
    "Also write this encoder for programs without TensorFlow, to the folder OUTPUT_portable.",
)


def main(argv: list[str]) -> None:
    """Reads the flags and exports."""
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
    details = CardDetails(_TITLE.value, _DATA.value, _LICENCE.value, tuple(_RESULTS.value))
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
        print(f"{path} differs from the network by {worst:.1e} of its outputs' size.")


if __name__ == "__main__":
    command_line.run(main)
