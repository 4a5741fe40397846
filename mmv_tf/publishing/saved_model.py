# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
"""The SavedModel that users of the TF-Hub MMV models know, with an `image` signature more."""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Any

import tensorflow as tf

from mmv_tf import atomic
from mmv_tf.deflation import ImageEncoder
from mmv_tf.graphs import EmbeddingGraph

SIGNATURES = ("video", "audio", "text", "image")


class Publication(tf.train.Checkpoint):
    """What is saved: callable, fine-tunable, with one signature a modality.

    Signatures (all sizes but the colours free): "video" float32 [B, T, H, W, 3] in [0, 1] ->
    before_head, va, vat; "audio" float32 [B, samples], a waveform in [-1, 1] at the network's
    sample rate -> last_conv (the map before pooling), va, vat; "text" string [B], whole sentences
    -> vat; "image" float32 [B, H, W, 3] in [0, 1] -> before_head, va, vat. Spaces are those of the
    network's graph.

    Calling the module with a clip gives the dict of its "video" signature, with an optional
    `training` argument, as TensorFlow's reusable SavedModels have it.
    """

    def __init__(self, model: EmbeddingGraph, image_model: ImageEncoder | None = None):
        super().__init__()
        self.model = model
        self.image_model = image_model
        # What `hub.KerasLayer` and other users of reusable SavedModels look for.
        layers: list[Any] = [model] if image_model is None else [model, image_model]
        self.variables = [v.value for layer in layers for v in layer.variables]
        self.trainable_variables = [v.value for v in model.trainable_variables]
        self.regularization_losses: list[Any] = []

    @tf.function(autograph=False)
    def __call__(self, video: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """A clip's representation and embeddings."""
        return self.model({"video": video}, training=training)["video"]

    def make_signatures(self) -> dict[str, Any]:
        """Name -> function, for each modality that there is."""
        model: Any = self.model
        image_model: Any = self.image_model
        signatures = {}

        @tf.function(
            autograph=False,
            input_signature=[tf.TensorSpec([None, None, None, None, 3], tf.float32, name="video")],
        )
        def video(video: tf.Tensor) -> dict[str, tf.Tensor]:
            return model({"video": video})["video"]

        signatures["video"] = video
        if model.audio is not None:
            if model.log_mel is None:
                raise ValueError("The network has an audio tower but no log-mel settings.")

            @tf.function(
                autograph=False,
                input_signature=[tf.TensorSpec([None, None], tf.float32, name="audio")],
            )
            def audio(audio: tf.Tensor) -> dict[str, tf.Tensor]:
                return audio_outputs(model, model.log_mel(audio))

            signatures["audio"] = audio
        if model.text is not None:
            if model.tokenizer is None:
                raise ValueError(
                    "The network has a text tower but no vocabulary, so it can't take sentences."
                )

            @tf.function(
                autograph=False, input_signature=[tf.TensorSpec([None], tf.string, name="text")]
            )
            def text(text: tf.Tensor) -> dict[str, tf.Tensor]:
                outputs = dict(model({"text": model.tokenizer(text)})["text"])
                del outputs["before_head"]
                return outputs

            signatures["text"] = text
        if image_model is not None:

            @tf.function(
                autograph=False,
                input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32, name="image")],
            )
            def image(image: tf.Tensor) -> dict[str, tf.Tensor]:
                return image_model(image)

            signatures["image"] = image
        return signatures


def audio_outputs(model: Any, log_mel: tf.Tensor) -> dict[str, tf.Tensor]:
    """Log-mel [B, frames, mel_bins, 1] -> "last_conv" [B, h, w, d] and the embeddings."""
    endpoints = model.audio(log_mel, return_endpoints=True)
    spaces = model.project("audio", endpoints["embedding"], training=False, valid=None)
    outputs = {"last_conv": endpoints["last_conv"], **spaces}
    return {name: tf.cast(value, tf.float32) for name, value in outputs.items()}


def export(
    model: EmbeddingGraph,
    directory: str | os.PathLike[str],
    image_model: ImageEncoder | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Writes a SavedModel that loads with TensorFlow alone.

    Args:
      model: the network.
      directory: where to; written whole or not at all.
      image_model: its deflated network, for the "image" signature.
      overwrite: replace a SavedModel that is there.

    Returns:
      The names of the signatures.

    Raises:
      ValueError: if there is something else, or a SavedModel that is not to be replaced; or if the
        network lacks what a signature needs.
    """
    target = pathlib.Path(directory)
    if target.exists() and not (overwrite and (target / "saved_model.pb").exists()):
        raise ValueError(f"{target} exists; choose another folder or remove it.")
    publication = Publication(model, image_model)
    with atomic.replacing(target) as temporary:
        # Traced here, so that the call is part of what is saved, in both modes.
        clip = tf.TensorSpec([None, None, None, None, 3], tf.float32, name="video")
        for training in (False, True):
            publication.__call__.get_concrete_function(clip, training=training)
        signatures = publication.make_signatures()
        tf.saved_model.save(publication, str(temporary), signatures=signatures)
        if target.exists():
            shutil.rmtree(target)
    return list(signatures)
