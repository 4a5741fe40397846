# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""Exports a model: the SavedModel and the files beside it, ready to publish and to serve."""

from __future__ import annotations

import os

from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph
from mmv_tf.publishing.contract import make_contract
from mmv_tf.publishing.example_program import write_example
from mmv_tf.publishing.folder import Destination
from mmv_tf.publishing.model_card import CardDetails, write_card
from mmv_tf.publishing.options import ExportOptions
from mmv_tf.publishing.run_facts import RunFacts
from mmv_tf.publishing.samples import sample_sentence
from mmv_tf.publishing.saved_model import Publication


def export(
    model: EmbeddingGraph,
    directory: str | os.PathLike[str],
    image_model: ImageEncoder | None = None,
    overwrite: bool = False,
    options: ExportOptions | None = None,
    details: CardDetails | None = None,
    version: int | None = None,
    model_name: str = "mmv",
    facts: RunFacts | None = None,
) -> list[str]:
    """Write a folder with a SavedModel that needs only TensorFlow.

    Besides the SavedModel's own files, the folder holds `model_card.md`, `example.py`, `SHA256SUMS`
    and, under `assets.extra`, the input contract and TensorFlow Serving's warm-up requests.

    Args:
      model: the model.
      directory: folder to write, atomically.
      image_model: deflated model for the "image" signature.
      overwrite: whether to replace an existing SavedModel.
      options: see `ExportOptions`.
      details: facts for the model card.
      version: write to the subfolder with this number, as TensorFlow Serving expects, and write a
        `models.config` beside it; other versions there are kept.
      model_name: name to serve the model under.
      facts: facts about the training run, for the model card; see `read_facts`.

    Returns:
      The signature names.

    Raises:
      ValueError: the folder exists and is not a SavedModel to replace, or the model lacks what a
        signature needs.
    """
    destination = Destination(directory, overwrite, version, model_name)
    options = options or ExportOptions()
    publication = Publication(model, image_model, options)
    publication.trace_call()
    signatures = {
        name: function.get_concrete_function()
        for name, function in publication.make_signatures().items()
    }
    sample_rate = None if model.log_mel is None else model.log_mel.sample_rate
    sentence = None
    if "text" in signatures and model.tokenizer is not None:
        sentence = sample_sentence(model.tokenizer)
    contract = make_contract(
        signatures, model.metadata, sample_rate, publication.jpeg_size, sentence
    )
    card = write_card(model, contract, options, details or CardDetails(), facts)
    destination.write(publication, signatures, contract, card, write_example(contract))
    return list(signatures)
