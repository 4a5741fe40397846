# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Export a model as a SavedModel with the signatures of the TF-Hub MMV models.

  mmv export --model=RUN --image_model=image_encoder.keras --output=DIR

The model card includes the facts in the run's folder and the results of `mmv evaluate` in or beside
it. The SavedModel needs only TensorFlow:
`tf.saved_model.load(DIR).signatures["text"](sentences)`. To serve it with TensorFlow Serving
or mmv serve, write a numbered version:

  mmv export --model=RUN --output=DIR --version=1 --fold_batch_norms --video_jpeg
"""

from __future__ import annotations

import dataclasses
import pathlib

from absl import flags

from mmv_tf.inference import model_hash
from mmv_tf.inference.flags import define_network_flags, network_flags
from mmv_tf.publishing import export, portable
from mmv_tf.publishing.flags import (
    card_details,
    define_export_flags,
    destination,
    export_options,
)
from mmv_tf.publishing.options import MODALITIES
from mmv_tf.publishing.run_facts import find_results, read_facts, run_of
from mmv_tf.util import command_line
from mmv_tf.util.storage.urls import name_of
from mmv_tf.util.storage.workspace import also_upload

define_network_flags(image_model=True, settings=False, engine=False)
define_export_flags("MMV model", "video_jpeg")
_MODALITIES = flags.DEFINE_multi_enum(
    "modality", None, MODALITIES, "Export only this modality; repeatable."
)
_NORMALIZED = flags.DEFINE_bool("normalized", False, "Normalize embeddings to unit length.")
_PORTABLE = flags.DEFINE_multi_enum(
    "portable",
    [],
    [f"{kind}:{name}" for kind in portable.FORMATS for name in portable.ENCODERS],
    "Also export an encoder for programs without TensorFlow, to OUTPUT_portable; repeatable.",
)


def main(argv: list[str]) -> None:
    """Export the model."""
    del argv
    options = export_options(
        modalities=tuple(_MODALITIES.value) if _MODALITIES.value else None,
        normalized=_NORMALIZED.value,
    )
    folder = destination()
    network = network_flags()
    model, image_model = network.open_models()
    details, run = card_details(), run_of(network.model)
    if run is not None and not details.results:
        results = tuple(find_results(run, model_hash(model)))
        details = dataclasses.replace(details, results=results)
    names = export(
        model,
        folder.directory,
        image_model,
        folder.overwrite,
        options=options,
        details=details,
        version=folder.version,
        model_name=folder.model_name,
        facts=read_facts(network.model),
    )
    print(f"The SavedModel is in {name_of(folder.directory)}; signatures: {', '.join(names)}.")
    if _PORTABLE.value:
        also_upload(f"{folder.directory}_portable")
    for choice in _PORTABLE.value:
        kind, name = choice.split(":")
        path = pathlib.Path(f"{folder.directory}_portable") / f"{name}{portable.SUFFIXES[kind]}"
        differences = portable.write_portable(model, path, name, kind, image_model)
        worst = max(differences.values())
        print(f"{name_of(path)} differs from the model by {worst:.1e}, relative to its outputs.")


if __name__ == "__main__":
    command_line.run(main)
