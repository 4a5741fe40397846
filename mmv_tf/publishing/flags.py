# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Flags for programs that export a SavedModel."""

from __future__ import annotations

from typing import Any

from absl import flags

from mmv_tf.publishing.folder import Destination
from mmv_tf.publishing.model_card import CardDetails
from mmv_tf.publishing.options import WEIGHT_TYPES, ExportOptions
from mmv_tf.util.storage.workspace import storage_flags

# Flags are attributed to the program that calls this, so that its --help shows them.
flags.disclaim_key_flags()


def define_export_flags(title: str, signature: str) -> None:
    """Define the flags for the folder, its options and its model card.

    Args:
      title: default for --title.
      signature: signature name for JPEG frames.
    """
    flags.DEFINE_string("output", None, "Folder to write.", required=True)
    flags.DEFINE_bool("overwrite", False, "Replace an existing SavedModel.")
    flags.DEFINE_integer("version", None, "Write to --output/VERSION, for serving.")
    flags.DEFINE_string("model_name", "mmv", "Name of the served model.")
    flags.DEFINE_bool(
        "fold_batch_norms", False, "Fold batch norms into the weights: faster, but no fine-tuning."
    )
    flags.DEFINE_enum(
        "weights_dtype",
        "float32",
        WEIGHT_TYPES,
        "Dtype of stored weights; 16 bits halve the file size.",
    )
    flags.DEFINE_bool("video_jpeg", False, f"Add the signature {signature} for JPEG frames.")
    flags.DEFINE_integer(
        "jpeg_size",
        None,
        "Side length, in pixels, to which JPEG frames are resized; default: as in training.",
    )
    flags.DEFINE_bool("checked", True, "Reject invalid input (NaN, out of range, no known word).")
    flags.DEFINE_string("title", title, "Title of the model card.")
    flags.DEFINE_string("trained_on", "", "Training data, for the model card.")
    flags.DEFINE_string("license", "", "License of the weights, for the model card.")
    flags.DEFINE_multi_string("results", [], "Results file for the model card; repeatable.")
    storage_flags(inputs=["results"], updated=["output"], last=["saved_model.pb"])


def destination() -> Destination:
    """Return the destination that the flags define.

    Raises:
      ValueError: as for `Destination`.
    """
    given = flags.FLAGS
    return Destination(given.output, given.overwrite, given.version, given.model_name)


def export_options(**others: Any) -> ExportOptions:
    """Return the options that the flags define.

    Args:
      **others: additional fields of `ExportOptions`.
    """
    given = flags.FLAGS
    return ExportOptions(
        fold_batch_norms=given.fold_batch_norms,
        weights=given.weights_dtype,
        video_jpeg=given.video_jpeg,
        jpeg_size=given.jpeg_size,
        checked=given.checked,
        **others,
    )


def card_details() -> CardDetails:
    """Return the details that the flags define."""
    given = flags.FLAGS
    return CardDetails(given.title, given.trained_on, given.license, tuple(given.results))
